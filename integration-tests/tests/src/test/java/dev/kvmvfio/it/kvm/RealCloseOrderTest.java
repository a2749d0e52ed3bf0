package dev.kvmvfio.it.kvm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.MsiRoute;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.vfio.KvmVfioDevice;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** What belongs to a VM is closed in any order, on the machine's own kernel. */
@Tag("kvm")
class RealCloseOrderTest {
    private static final CloseOrders ORDERS = new CloseOrders(RealCloseOrderTest::open, 14);
    private static final int RANDOM_ORDERS = Integer.getInteger("close.orders", 100);

    private List<String> heldBefore;

    private static List<Handle> open(Kernel kernel) {
        HostMemory ram = HostMemory.allocate(kernel, 1 << 16);
        HostMemory more = HostMemory.request(kernel, 1 << 16).memfd("more").allocate();
        EventFd trigger = EventFd.create(kernel);
        EventFd level = EventFd.create(kernel);
        EventFd resample = EventFd.create(kernel);
        Kvm kvm = Kvm.open(kernel);
        Vm vm = kvm.createVm();
        vm.interrupts().createIrqchip();
        MsiRoute route = vm.interrupts().routes().addMsi(0xfee0_0000L, 0x41);
        return List.of(kvm, vm, ram, more, vm.memory().add(0, ram), vm.memory().add(1 << 20, more), vm.createVcpu(0),
                trigger, level, resample, route, vm.interrupts().addIrqFd(trigger, route.gsi()),
                vm.interrupts().addIrqFd(level, 5, resample), KvmVfioDevice.create(vm));
    }

    @BeforeEach
    void look() {
        heldBefore = HeldFiles.now();
    }

    @AfterEach
    void nothingIsLeft() {
        assertThat(HeldFiles.now()).isEqualTo(heldBefore);
    }

    @Test
    void eachPairInBothOrders() throws Exception {
        ORDERS.pairs(Kernel.linux(), 1);
    }

    @Test
    void eachPairByTwoThreads() throws Exception {
        ORDERS.pairs(Kernel.linux(), 2);
    }

    @Test
    void randomOrders() throws Exception {
        ORDERS.random(Kernel.linux(), RANDOM_ORDERS);
    }
}
