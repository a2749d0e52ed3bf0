package dev.kvmvfio.it.guest;

import dev.kvmvfio.vmm.Machine;
import dev.kvmvfio.vmm.PortDevice;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/** A port where a guest of the tests tells what it found; the machine stops when it has told enough. */
final class GuestReports implements PortDevice {
    static final int PORT = 0x600;
    private static final int PORTS = 4;
    private static final int PATIENCE_MINUTES = 10;

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
    public void write(int offset, int size, int value) {
        reports.add(new Report(value, machine.exits()));
        if (reports.size() == enough) {
            machine.stop();
        }
    }

    /** Runs the machine, but not for ever. */
    List<Report> run() {
        Executor later = CompletableFuture.delayedExecutor(PATIENCE_MINUTES, TimeUnit.MINUTES);
        CompletableFuture<Void> watchdog = CompletableFuture.runAsync(machine::stop, later);
        try {
            machine.run();
        } finally {
            watchdog.cancel(false);
        }
        return reports;
    }
}
