package dev.kvmvfio.it.kvm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.ObservedKernel;
import dev.kvmvfio.kernel.SystemCall;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * Closes handles in any order, by one thread and by several, and looks at the calls that the kernel got: it refused none,
 * and each thing was given back once.
 */
public final class CloseOrders {
    /** What makes something, and what takes it back. */
    private static final Map<String, String> PAIRS = Map.of("mmap", "munmap", "eventfd", "close of eventfd",
            "KVM_CREATE_VM", "close of VM", "IOMMU_IOAS_MAP", "IOMMU_IOAS_UNMAP", "IOMMU_IOAS_ALLOC", "IOMMU_DESTROY",
            "VFIO_IOMMU_MAP_DMA", "VFIO_IOMMU_UNMAP_DMA", "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
            "VFIO_DEVICE_DETACH_IOMMUFD_PT", "VFIO_GROUP_SET_CONTAINER", "VFIO_GROUP_UNSET_CONTAINER",
            "VFIO_GROUP_GET_DEVICE_FD", "close of 0000:6a:01.0");

    private final Function<Kernel, List<Handle>> world;
    private final int size;

    /**
     * Begins with what there is to close.
     *
     * @param world makes the handles
     * @param size how many
     */
    public CloseOrders(Function<Kernel, List<Handle>> world, int size) {
        this.world = world;
        this.size = size;
    }

    /** Closes each pair in both orders, then the rest. */
    public void pairs(Kernel kernel, int threads) throws Exception {
        for (int one = 0; one < size; one++) {
            for (int other = 0; other < size; other++) {
                close(kernel, List.of(one, other), threads);
            }
        }
    }

    /** Closes all in random orders, by one to three threads. */
    public void random(Kernel kernel, int rounds) throws Exception {
        Random random = new Random(11);
        List<Integer> order = new ArrayList<>(IntStream.range(0, size).boxed().toList());
        for (int i = 0; i < rounds; i++) {
            Collections.shuffle(order, random);
            close(kernel, order, 1 + i % 3);
        }
    }

    private void close(Kernel kernel, List<Integer> order, int threads) throws Exception {
        List<SystemCall> calls = Collections.synchronizedList(new ArrayList<>());
        List<Handle> handles = world.apply(ObservedKernel.observe(kernel, calls::add));
        assertThat(handles).hasSize(size);
        int made = calls.size();
        List<Handle> ordered = order.stream().map(handles::get).toList();
        CyclicBarrier start = new CyclicBarrier(threads);
        List<FutureTask<Boolean>> closes = IntStream.range(0, threads).mapToObj(thread -> new FutureTask<>(() -> {
            start.await();
            for (int i = thread; i < ordered.size(); i += threads) {
                ordered.get(i).close();
            }
            return true;
        })).toList();
        closes.stream().skip(1).forEach(Thread::startVirtualThread);
        closes.getFirst().run();
        for (FutureTask<Boolean> close : closes) {
            assertThat(close.get(60, TimeUnit.SECONDS)).as("%s", ordered).isTrue();
        }
        handles.forEach(Handle::close);
        assertThat(calls.subList(made, calls.size())).as("closing %s", ordered)
                .noneMatch(call -> call.result() < 0);
        assertGivenBackOnce(calls);
    }

    private static void assertGivenBackOnce(List<SystemCall> calls) {
        Map<String, Integer> count = new HashMap<>();
        calls.stream().filter(call -> call.result() >= 0)
                .forEach(call -> count.merge(what(call), 1, Integer::sum));
        PAIRS.forEach((making, undoing) -> assertThat(count.getOrDefault(undoing, 0)).as("%s %s", undoing, calls)
                .isEqualTo(count.getOrDefault(making, 0)));
    }

    private static String what(SystemCall call) {
        return call.name().equals("close") ? "close of " + call.file().replaceAll("\\d+<(.*)>", "$1") : call.name();
    }
}
