package dev.kvmvfio.it.vmm;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A port where a guest of the tests tells what it found; the machine stops when it has told enough. */
final class GuestReports implements PortDevice {
    static final int PORT = 0x600;
    private static final int PORTS = 4;
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    /**
     * What the guest told.
     *
     * @param exits how many exits of each kind there had been, this one included
     */
    record Report(int value, Map<String, Integer> exits) {
    }

    private final Machine machine;
    private final int enough;
    private final List<Report> reports = new ArrayList<>();

    GuestReports(Machine machine, int enough) {
        this.machine = machine;
        this.enough = enough;
        machine.ports().add(PORT, PORTS, this);
    }

    @Override
    public int read(int offset, int size) {
        return 0;
    }

    @Override
    public void write(int offset, int size, int value) {
        reports.add(new Report(value, machine.exits()));
        if (reports.size() == enough) {
            machine.stop();
        }
    }

    /** Runs the machine, but not for ever. */
    List<Report> run() {
        Thread watchdog = Thread.ofPlatform().daemon().start(() -> {
            try {
                Thread.sleep(PATIENCE);
                machine.stop();
            } catch (InterruptedException ended) {
                Thread.currentThread().interrupt();
            }
        });
        machine.run();
        watchdog.interrupt();
        return reports;
    }
}
