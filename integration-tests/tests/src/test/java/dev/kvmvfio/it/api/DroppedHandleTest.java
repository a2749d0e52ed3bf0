package dev.kvmvfio.it.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.ObservedKernel;
import dev.kvmvfio.kernel.SystemCall;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockKernel;
import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.LongSupplier;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A handle that a program dropped is reported when the next one is opened, and one that was closed is not. */
@Timeout(60)
class DroppedHandleTest {
    private static final Logger LOGGER = Logger.getLogger("dev.kvmvfio");

    private final List<String> reports = new CopyOnWriteArrayList<>();
    private final Handler handler = new Handler() {
        @Override
        public void publish(LogRecord line) {
            // Other tests of this process drop handles too, with lower numbers.
            if (line.getMessage().matches("/dev/kvm \\(fd 1\\d\\d\\).*")) {
                reports.add(line.getMessage());
            }
        }

        @Override
        public void flush() {
            // Nothing is kept back.
        }

        @Override
        public void close() {
            // Nothing is open.
        }
    };

    private final MockKernel mock = MockKernel.example();
    private final List<EventFd> lowNumbers = Stream.generate(() -> EventFd.create(mock)).limit(100).toList();

    @BeforeEach
    void listen() {
        LOGGER.addHandler(handler);
        LOGGER.setUseParentHandlers(false);
    }

    @AfterEach
    void listenNoMore() {
        LOGGER.removeHandler(handler);
        LOGGER.setUseParentHandlers(true);
        lowNumbers.forEach(EventFd::close);
    }

    /** In a method of its own, so that no local variable keeps it. */
    private WeakReference<Handle> drop() {
        Kvm kvm = Kvm.open(mock);
        kvm.createVm();
        return new WeakReference<>(kvm);
    }

    private void awaitReport() throws InterruptedException {
        while (reports.isEmpty()) {
            System.gc();
            Thread.sleep(10);
            EventFd.create(mock).close();
        }
    }

    @Test
    void isReported() throws InterruptedException {
        WeakReference<Handle> dropped = drop();
        awaitReport();
        assertThat(dropped.get()).isNull();
        assertThat(reports).allMatch(report -> report.contains("was dropped while it was open")
                && report.contains("-Ddev.kvmvfio.leaks=trace"));
    }

    /** A program's own kernel may know the handles that are open in it. */
    private static final class Knowing extends ObservedKernel {
        private final List<Handle> handles = new ArrayList<>();

        Knowing(Kernel kernel) {
            super(kernel);
        }

        @Override
        protected long call(SystemCall call, LongSupplier made) {
            return made.getAsLong();
        }
    }

    private void dropWithItsKernel() {
        Knowing kernel = new Knowing(mock);
        kernel.handles.add(Kvm.open(kernel));
    }

    @Test
    void isReportedWithAKernelThatKnowsIt() throws InterruptedException {
        dropWithItsKernel();
        awaitReport();
    }

    /** What a handle belongs to is reported in its place. */
    @Test
    void isNotReportedWhenItWasClosedOrBelongsToAnother() throws InterruptedException {
        Kvm kvm = Kvm.open(mock);
        Vm vm = kvm.createVm();
        HostMemory ram = HostMemory.allocate(mock, 1 << 16);
        vm.memory().add(0, ram);
        EventFd.create(mock).close();
        drop();
        awaitReport();
        assertThat(kvm.openHandles()).contains(vm).hasSize(2);
        kvm.close();
        ram.close();
        assertThat(kvm.openHandles()).isEmpty();
        assertThat(reports).hasSize(1);
    }
}
