package dev.kvmvfio.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.GuestException;
import dev.kvmvfio.kernel.KvmVfioException;
import dev.kvmvfio.mock.MockCpu;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The example VMM on the mock, as its own author would test it where there is no KVM. */
@Tag("mock")
@Timeout(value = 10, unit = TimeUnit.MINUTES)
class MockMachineTest {
    private static final PciAddress EDU = PciAddress.parse("0000:6b:00.0");
    private static final long MEMORY = 4 << 20;
    private static final int SLOT = 2;
    private static final int CONFIG = 1 << 31 | SLOT << 11;
    private static final int BAR = 0xe000_0000;
    private static final long REGISTERS = Integer.toUnsignedLong(BAR);
    private static final int IDENTITY = 0x010000ed;
    private static final long SOURCE = 0x100000;
    private static final long DESTINATION = 0x101000;
    private static final long BUFFER = 0x40000;
    private static final int DMA_IS_DONE = 0x100;
    private static final int REPORT = 0x600;
    private static final int UNPLUG = 0x620;
    private static final int PLUG = 0x621;

    private final MockKernel host = MockKernel.host(KernelProfile.V6_12)
            .device(EDU.toString(), device -> device.edu().group(27).cdev("vfio1")).start();

    /** Throws when anything is left open, registered, bound, mapped or pinned. */
    @AfterEach
    void nothingIsLeft() {
        host.close();
    }

    private Machine machine(Consumer<MockCpu> program) {
        Machine machine = new Machine(host, MEMORY);
        host.guest(machine.vm().fd().number()).program(0, program);
        return machine;
    }

    /** The guest asks for its device to be taken away and to be brought back, and uses it before and after. */
    @ParameterizedTest
    @EnumSource(VfioInterface.class)
    void aGuestUsesItsDevice(VfioInterface by) {
        try (Machine machine = machine(MockMachineTest::useEduTwice)) {
            AssignedDevice device = machine.attach(EDU, by, SLOT);
            machine.ports().add(UNPLUG, 1, (_, _, _) -> machine.detach(device));
            machine.ports().add(PLUG, 1, (_, _, _) -> machine.attach(EDU, by, SLOT));
            assertThat(reports(machine, 7)).containsExactly(IDENTITY, DMA_IS_DONE, 0x1234567, IoPorts.NOTHING,
                    IDENTITY, DMA_IS_DONE, 0x7654321);
        }
    }

    /** Runs the machine until its guest has written so many values to a port, and tells them. */
    private static List<Integer> reports(Machine machine, int count) {
        List<Integer> reports = new ArrayList<>();
        machine.ports().add(REPORT, 4, (_, _, value) -> {
            reports.add(value);
            if (reports.size() == count) {
                machine.stop();
            }
        });
        machine.run();
        return reports;
    }

    private static void useEduTwice(MockCpu cpu) {
        useEdu(cpu, 0x1234567);
        cpu.out(UNPLUG, 1, 0);
        cpu.out(PciBus.PORT, 4, CONFIG);
        report(cpu, cpu.in(PciBus.PORT + 4, 4));
        cpu.out(PLUG, 1, 0);
        useEdu(cpu, 0x7654321);
    }

    /** The mock's edu cannot be mapped, so the guest's accesses to its BAR come to the machine. */
    private static void useEdu(MockCpu cpu, int value) {
        writeConfig(cpu, ConfigSpace.BARS, BAR);
        writeConfig(cpu, ConfigSpace.COMMAND, ConfigSpace.MEMORY_DECODING | ConfigSpace.BUS_MASTER);
        report(cpu, (int) cpu.read(REGISTERS, 4));
        cpu.write(SOURCE, 4, value);
        copy(cpu, SOURCE, BUFFER, 0x1);
        copy(cpu, BUFFER, DESTINATION, 0x1 | 0x2 | 0x4);
        cpu.halt();
        report(cpu, (int) cpu.read(REGISTERS + 0x24, 4));
        cpu.write(REGISTERS + 0x64, 4, DMA_IS_DONE);
        report(cpu, (int) cpu.read(DESTINATION, 4));
    }

    private static void writeConfig(MockCpu cpu, int register, int value) {
        cpu.out(PciBus.PORT, 4, CONFIG | register);
        cpu.out(PciBus.PORT + 4, 4, value);
    }

    private static void copy(MockCpu cpu, long from, long to, int command) {
        cpu.write(REGISTERS + 0x80, 8, from);
        cpu.write(REGISTERS + 0x88, 8, to);
        cpu.write(REGISTERS + 0x90, 8, 4);
        cpu.write(REGISTERS + 0x98, 8, command);
    }

    private static void report(MockCpu cpu, int value) {
        cpu.out(REPORT, 4, value);
    }

    @Test
    void aGuestThatShutsDownIsAnError() {
        try (Machine machine = machine(MockCpu::shutdown)) {
            machine.attach(EDU, VfioInterface.CDEV, SLOT);
            assertThatThrownBy(machine::run).isInstanceOf(GuestException.class).hasMessageContaining("triple fault");
        }
    }

    /** Every call in turn fails once, and each time nothing is left. */
    @ParameterizedTest
    @EnumSource(VfioInterface.class)
    void aMachineThatCannotBeMadeLeavesNothing(VfioInterface by) {
        host.clearTrace();
        int all = make(by);
        int refused = 0;
        for (int i = 1; i <= all; i++) {
            host.failCall(i, Errno.EIO);
            try {
                make(by);
            } catch (KvmVfioException expected) {
                refused++;
            }
            assertThat(host.leaks()).as("call %d of %d", i, all).isEmpty();
        }
        make(by);
        assertThat(refused).as("some calls only ask, and may fail").isGreaterThan(all / 2);
    }

    /** Tells how many calls that took. */
    private int make(VfioInterface by) {
        try (Machine machine = new Machine(host, MEMORY)) {
            machine.attach(EDU, by, SLOT);
            return host.trace().size();
        }
    }
}
