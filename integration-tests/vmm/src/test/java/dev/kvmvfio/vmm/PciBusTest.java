package dev.kvmvfio.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockDevice;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.GuestMemory;
import dev.kvmvfio.pci.PciAddress;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** What a guest sees at the configuration ports and behind the BARs. */
@Tag("mock")
class PciBusTest {
    private static final String ADDRESS = "0000:6a:01.0";
    private static final int SLOT = 5;
    private static final int GSI = 11;
    private static final int FIRST_MESSAGE = 24;
    private static final int BAR0 = 0x10;
    private static final int BAR2 = 0x18;
    private static final int DECODE_AND_DMA = ConfigSpace.MEMORY_DECODING | ConfigSpace.BUS_MASTER;
    private static final int MESSAGE = 0xfee0_0000;
    private static final int EDU_IDENTITY = 0x010000ed;

    private MockKernel host;
    private Kvm kvm;
    private Vm vm;
    private HostMemory ram;
    private AssignedDevice device;
    private final PciBus bus = new PciBus();

    private void start(UnaryOperator<MockDevice> description) {
        host = MockKernel.host(KernelProfile.V6_12)
                .device(ADDRESS, mock -> description.apply(mock.group(26).cdev("vfio0"))).start();
        kvm = Kvm.open(host);
        vm = kvm.createVm();
        vm.interrupts().createIrqchip();
        ram = HostMemory.allocate(host, 1 << 20);
        GuestMemory memory = GuestMemory.create(vm, 0, ram);
        device = new AssignedDevice(
                AttachedDevice.request(host, PciAddress.parse(ADDRESS)).attach(memory), GSI);
        bus.plug(SLOT, device);
    }

    /** The mock throws when anything is left behind. */
    @AfterEach
    void close() {
        kvm.close();
        ram.close();
        host.close();
    }

    private int read(int slot, int register, int size) {
        bus.write(0, 4, 1 << 31 | slot << 11 | register & 0xfc);
        return bus.read(4 + (register & 3), size);
    }

    private int read(int register, int size) {
        return read(SLOT, register, size);
    }

    private void write(int register, int size, int value) {
        bus.write(0, 4, 1 << 31 | SLOT << 11 | register & 0xfc);
        bus.write(4 + (register & 3), size, value);
    }

    private int capability(int id) {
        int at = read(0x34, 1);
        while (read(at, 1) != id) {
            at = read(at + 1, 1);
        }
        return at;
    }

    private long interrupts(int gsi) {
        return host.guest(vm.fd().number()).interrupts(gsi);
    }

    private static MockDevice card(MockDevice device) {
        return device.id(0x8086, 0x10d3).bar(0, 1 << 17).ioBar(1, 32).bar64(2, 1 << 14).msi(4).msix(3, 2, 0x2000);
    }

    @Test
    void aSlotWithoutADeviceReadsAsOnes() {
        start(PciBusTest::card);
        assertThat(read(SLOT, 0, 4)).isEqualTo(0x10d38086);
        assertThat(read(SLOT, 2, 2)).isEqualTo(0x10d3);
        assertThat(read(SLOT + 1, 0, 4)).isEqualTo(-1);
        bus.write(0, 4, 1 << 31 | 1 << 16 | SLOT << 11);
        assertThat(bus.read(4, 4)).as("another bus").isEqualTo(-1);
        bus.write(0, 4, 1 << 31 | SLOT << 11 | 1 << 8);
        assertThat(bus.read(4, 4)).as("another function").isEqualTo(-1);
        bus.write(0, 4, SLOT << 11);
        assertThat(bus.read(4, 4)).as("not enabled").isEqualTo(-1);
        bus.write(0, 4, 1 << 31 | SLOT << 11 | 0xfc);
        assertThat(bus.read(6, 4)).as("beyond the ports").isEqualTo(-1);
        bus.write(6, 4, 0);
        assertThatThrownBy(() -> bus.plug(SLOT, device)).isInstanceOf(IllegalArgumentException.class);
        bus.unplug(device);
        assertThat(read(SLOT, 0, 4)).isEqualTo(-1);
    }

    @Test
    void barsTellTheirSizeAndNoPortsOrRomAreThere() {
        start(PciBusTest::card);
        for (int register = BAR0; register <= ConfigSpace.ROM; register += 4) {
            if (register < 0x28 || register == ConfigSpace.ROM) {
                write(register, 4, -1);
            }
        }
        assertThat(read(BAR0, 4)).isEqualTo(-(1 << 17));
        assertThat(read(0x14, 4)).as("ports").isZero();
        assertThat(read(BAR2, 4) & ~0xf).isEqualTo(-(1 << 14));
        assertThat(read(BAR2, 4) & 0x6).as("64 bits").isEqualTo(4);
        assertThat(read(BAR2 + 4, 4)).isEqualTo(-1);
        assertThat(read(0x20, 4)).isZero();
        assertThat(read(ConfigSpace.ROM, 4)).isZero();
    }

    @Test
    void aBarIsWhereTheGuestPutsItWhileItDecodes() {
        start(PciBusTest::card);
        write(BAR0, 4, 0xe000_0000);
        assertThat(device.contains(0xe000_0000L)).as("before decoding").isFalse();
        write(ConfigSpace.COMMAND, 2, DECODE_AND_DMA);
        assertThat(device.contains(0xe001_ffffL)).isTrue();
        assertThat(device.contains(0xe002_0000L)).isFalse();
        write(BAR0, 4, -1);
        assertThat(device.contains(0xe000_0000L)).as("while it is sized").isFalse();
        write(BAR0, 4, 0xe400_0000);
        assertThat(device.contains(0xe400_0000L)).as("moved").isTrue();
        write(ConfigSpace.COMMAND, 2, 0);
        assertThat(device.contains(0xe400_0000L)).as("no more decoding").isFalse();
    }

    @Test
    void aWideBarGoesAbove4GiB() {
        start(PciBusTest::card);
        write(ConfigSpace.COMMAND, 2, ConfigSpace.MEMORY_DECODING);
        write(BAR2, 4, 0x4000);
        assertThat(device.contains(0x4000)).as("memory is there").isFalse();
        write(BAR2 + 4, 4, -1);
        assertThat(device.contains(0xffff_ffff_0000_4000L)).as("beyond what can be addressed").isFalse();
        write(BAR2 + 4, 4, 0x12);
        assertThat(device.contains(0x12_0000_4000L)).isTrue();
    }

    @Test
    void theGuestCannotChangeWhatIsFixed() {
        start(PciBusTest::card);
        int msi = capability(ConfigSpace.MSI);
        assertThat(read(msi + 2, 2)).as("one vector, 64 bits, no masks").isEqualTo(0x80);
        write(msi + 2, 2, 0x7e);
        assertThat(read(msi + 2, 2)).isEqualTo(0x80);
        int msiX = capability(ConfigSpace.MSIX);
        write(msiX + 2, 2, 0x3fff);
        assertThat(read(msiX + 2, 2)).isEqualTo(2);
        write(0, 4, 0);
        assertThat(read(0, 4)).isEqualTo(0x10d38086);
        write(ConfigSpace.INTERRUPT_LINE, 4, 0xffff_ff07);
        assertThat(read(ConfigSpace.INTERRUPT_LINE, 4)).as("line, pin").isEqualTo(0x0107);
    }

    @Test
    void intxArrivesAtItsLineUntilMsiIsEnabled() {
        start(PciBusTest::card);
        write(ConfigSpace.COMMAND, 2, DECODE_AND_DMA);
        assertThat(read(ConfigSpace.INTERRUPT_LINE, 1)).isEqualTo(GSI);
        host.endpoint(ADDRESS).raiseIntx();
        assertThat(interrupts(GSI)).isEqualTo(1);
        host.endpoint(ADDRESS).lowerIntx();
        int msi = capability(ConfigSpace.MSI);
        write(msi + 4, 4, MESSAGE);
        write(msi + 12, 2, 0x41);
        write(msi + 2, 2, 1);
        assertThat(host.endpoint(ADDRESS).sendMessage(0)).isTrue();
        assertThat(interrupts(FIRST_MESSAGE)).isEqualTo(1);
        write(msi + 2, 2, 0);
        host.guest(vm.fd().number()).acknowledge(GSI);
        host.endpoint(ADDRESS).raiseIntx();
        assertThat(interrupts(GSI)).as("again").isEqualTo(2);
    }

    @Test
    void eachMsiXVectorFollowsItsEntryOfTheTable() {
        start(PciBusTest::card);
        write(ConfigSpace.COMMAND, 2, DECODE_AND_DMA);
        write(BAR2, 4, 0xe000_0000);
        long table = 0xe000_2000L;
        int control = capability(ConfigSpace.MSIX) + 2;
        write(control, 2, 0xc000);
        for (int vector = 0; vector < 3; vector++) {
            assertThat(bus.readMemory(table + 16 * vector + 12, 4)).as("masked after a reset").isEqualTo(1);
            bus.writeMemory(table + 16 * vector, 4, Integer.toUnsignedLong(MESSAGE));
            bus.writeMemory(table + 16 * vector + 4, 4, 0);
            bus.writeMemory(table + 16 * vector + 8, 8, 0x41 + vector);
        }
        assertThat(bus.readMemory(table + 32, 8)).isEqualTo(Integer.toUnsignedLong(MESSAGE));
        assertThat(bus.readMemory(table + 42, 1)).as("what the specification leaves open").isEqualTo(0x43);
        host.endpoint(ADDRESS).sendMessage(1);
        assertThat(interrupts(FIRST_MESSAGE)).as("all are masked").isZero();
        write(control, 2, 0x8000);
        assertThat(interrupts(FIRST_MESSAGE) + interrupts(FIRST_MESSAGE + 1) + interrupts(FIRST_MESSAGE + 2))
                .as("what waited").isEqualTo(1);
        bus.writeMemory(table + 16 + 12, 4, 1);
        host.endpoint(ADDRESS).sendMessage(1);
        host.endpoint(ADDRESS).sendMessage(2);
        assertThat(interrupts(FIRST_MESSAGE) + interrupts(FIRST_MESSAGE + 1) + interrupts(FIRST_MESSAGE + 2))
                .as("vector 1 is masked, vector 2 is not").isEqualTo(2);
        bus.writeMemory(table + 16 + 12, 4, 0);
        assertThat(interrupts(FIRST_MESSAGE) + interrupts(FIRST_MESSAGE + 1) + interrupts(FIRST_MESSAGE + 2))
                .isEqualTo(3);
    }

    /** A device of the program's own, which has an identity and one register at an address that it never moves from. */
    private static final class Register implements PciFunction {
        private static final long ADDRESS = 0xd800_0000L;
        private long value;

        @Override
        public int readConfig(int offset, int size) {
            return offset == 0 ? 0x1234_1af4 : 0;
        }

        @Override
        public void writeConfig(int offset, int size, int value) {
            // Nothing in it can be changed.
        }

        @Override
        public boolean contains(long address) {
            return address == ADDRESS;
        }

        @Override
        public long readMemory(long address, int length) {
            return value;
        }

        @Override
        public void writeMemory(long address, int length, long value) {
            this.value = value;
        }
    }

    @Test
    void aDeviceThatTheProgramPlaysIsBesideThoseOfTheHost() {
        start(PciBusTest::card);
        Register register = new Register();
        bus.plug(SLOT + 1, register);
        assertThat(read(SLOT + 1, 0, 4)).isEqualTo(0x1234_1af4);
        assertThat(read(SLOT, 0, 4)).isEqualTo(0x10d38086);
        bus.writeMemory(Register.ADDRESS, 8, 7);
        assertThat(bus.readMemory(Register.ADDRESS, 8)).isEqualTo(7);
        bus.unplug(register);
        assertThat(bus.readMemory(Register.ADDRESS, 8)).isEqualTo(-1);
    }

    /** Registers that the kernel does not let anyone map come as exits, and are read and written all the same. */
    @Test
    void whatIsNotMappedIsReachedByExits() {
        start(MockDevice::edu);
        write(BAR0, 4, 0xe000_0000);
        assertThat(bus.readMemory(0xe000_0000L, 4)).as("nothing is there yet").isEqualTo(-1);
        write(ConfigSpace.COMMAND, 2, ConfigSpace.MEMORY_DECODING);
        assertThat(bus.readMemory(0xe000_0000L, 4)).isEqualTo(EDU_IDENTITY);
        bus.writeMemory(0xe000_0004L, 4, 0x1234);
        assertThat((int) bus.readMemory(0xe000_0004L, 4)).isEqualTo(~0x1234);
        assertThat(bus.readMemory(0xd000_0000L, 4)).isEqualTo(-1);
        bus.writeMemory(0xd000_0000L, 4, 0);
    }
}
