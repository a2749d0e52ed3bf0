package dev.kvmvfio.it.guest;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.it.guest.GuestReports.Report;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.IoAddress;
import dev.kvmvfio.vmm.Machine;
import dev.kvmvfio.vmm.PortDevice;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Eventfds between a running guest and the machine's own KVM, on x86-64. */
@Tag("kvm")
class RealSignallingGuestTest {
    private static final long MEMORY = 4 << 20;

    private final Kernel kernel = Kernel.linux();
    private final List<Long> acknowledged = new ArrayList<>();

    @Test
    void doorbellsRingWithoutAnExitAndAnAcknowledgedLineIsResampled() {
        try (Machine machine = new Machine(kernel, MEMORY);
                EventFd port = EventFd.create(kernel);
                EventFd memory = EventFd.create(kernel);
                EventFd other = EventFd.create(kernel);
                EventFd line = EventFd.create(kernel);
                EventFd resample = EventFd.create(kernel)) {
            machine.vm().addIoEventFd(port, IoAddress.port(SignallingGuest.PORT_BELL), 2);
            IoAddress bell = IoAddress.mmio(SignallingGuest.MEMORY_BELL);
            machine.vm().addIoEventFd(memory, bell, 4, SignallingGuest.VALUE);
            machine.vm().addIoEventFd(other, bell, 4, SignallingGuest.VALUE + 1);
            machine.vm().interrupts().addIrqFd(line, SignallingGuest.PIN, resample);
            machine.ports().add(SignallingGuest.RAISE, 4, raiser(line, resample));
            new SignallingGuest().load(machine);

            List<Report> reports = new GuestReports(machine, SignallingGuest.FINDINGS).run();

            assertThat(reports).extracting(Report::value).containsExactly(SignallingGuest.RUNG, 1, 2);
            assertThat(reports.getFirst().exits()).as("the report itself").isEqualTo(Map.of("PortWrite", 1));
            assertThat(List.of(port.take(), memory.take(), other.take())).containsExactly(1L, 2L, 0L);
            assertThat(acknowledged).as("before each of the two").containsExactly(0L, 1L);
            assertThat(resample.take()).isEqualTo(1);
        }
    }

    private PortDevice raiser(EventFd line, EventFd resample) {
        return (_, _, _) -> {
            acknowledged.add(resample.take());
            line.signal();
        };
    }
}
