package dev.kvmvfio.mock;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.Epoll;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kernel.ObservedKernel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** How threads wait for eventfds, one or many, and what ends that. */
@Timeout(60)
abstract class WaitContract {
    private static final Duration LONG = Duration.ofMinutes(1);

    private Kernel kernel;
    private Epoll epoll;
    private EventFd first;
    private EventFd second;
    private final EventFd[] signalled = new EventFd[3];

    abstract Kernel kernel();

    @BeforeEach
    void start() {
        kernel = kernel();
        epoll = Epoll.create(kernel);
        first = EventFd.create(kernel);
        second = EventFd.create(kernel);
    }

    @AfterEach
    void end() {
        List.of(first, second, epoll).forEach(Handle::close);
        if (kernel instanceof MockKernel mock) {
            mock.close();
        }
    }

    private static <T> FutureTask<T> start(Thread.Builder builder, Callable<T> work) {
        FutureTask<T> task = new FutureTask<>(work);
        builder.start(task);
        return task;
    }

    private static Throwable failure(FutureTask<?> task) throws Exception {
        try {
            return new AssertionError(task.get(30, TimeUnit.SECONDS));
        } catch (ExecutionException failure) {
            return failure.getCause();
        }
    }

    @Test
    void oneThreadWaitsForMany() throws Exception {
        epoll.add(first);
        epoll.add(second);
        assertThat(epoll.await(signalled, Duration.ZERO)).isZero();
        assertThat(epoll.await(signalled, Duration.ofMillis(-1))).isZero();
        FutureTask<Integer> waiting = start(Thread.ofPlatform(), () -> epoll.await(signalled, LONG));
        Thread.sleep(70);
        assertThat(waiting.isDone()).isFalse();
        second.signal();
        assertThat(waiting.get()).isEqualTo(1);
        assertThat(signalled[0]).isSameAs(second);
        first.signal();
        assertThat(epoll.await(signalled, LONG)).as("what is not taken is told again").isEqualTo(2);
        assertThat(signalled).contains(first, second);
        assertThat(second.take()).isEqualTo(1);
        assertThat(epoll.await(signalled, LONG)).isEqualTo(1);
        assertThat(signalled[0]).isSameAs(first);
    }

    @Test
    void moreThanThereIsRoomForAreToldNext() {
        List<EventFd> all = Stream.generate(() -> EventFd.create(kernel)).limit(100).toList();
        all.forEach(eventFd -> {
            epoll.add(eventFd);
            eventFd.signal();
        });
        List<EventFd> told = new ArrayList<>();
        EventFd[] room = new EventFd[80];
        while (told.size() < all.size()) {
            int count = epoll.await(room, LONG);
            assertThat(count).isPositive();
            for (EventFd eventFd : Arrays.asList(room).subList(0, count)) {
                assertThat(eventFd.take()).isEqualTo(1);
                told.add(eventFd);
            }
        }
        assertThat(told).containsExactlyInAnyOrderElementsOf(all);
        assertThat(epoll.await(room, Duration.ZERO)).isZero();
        all.forEach(EventFd::close);
    }

    @Test
    void whatIsTakenOutIsNotToldAndItsPlaceIsUsedAgain() {
        Epoll.Member member = epoll.add(first);
        assertThat(member.eventFd()).isSameAs(first);
        assertThat(member).hasToString(first + " in " + epoll);
        assertThatThrownBy(() -> epoll.add(first)).isInstanceOfSatisfying(KernelException.class,
                refused -> assertThat(refused.errno()).isEqualTo(Errno.EEXIST));
        first.signal();
        assertThat(epoll.await(signalled, LONG)).isEqualTo(1);
        member.close();
        assertThat(epoll.await(signalled, Duration.ZERO)).isZero();
        epoll.add(second);
        second.signal();
        assertThat(epoll.await(signalled, LONG)).isEqualTo(1);
        assertThat(signalled[0]).isSameAs(second);
        second.close();
        assertThat(epoll.openHandles()).isEmpty();
        assertThat(epoll.await(signalled, Duration.ZERO)).isZero();
        assertThatThrownBy(() -> epoll.add(second)).isInstanceOf(ClosedException.class);
        assertThatThrownBy(() -> epoll.await(new EventFd[0], LONG)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void aCloseEndsTheWait() throws Exception {
        epoll.add(first);
        FutureTask<Integer> waiting = start(Thread.ofPlatform(), () -> epoll.await(signalled, LONG));
        Thread.sleep(20);
        assertThatThrownBy(() -> epoll.await(signalled, LONG)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("already");
        epoll.close();
        assertThat(failure(waiting)).isInstanceOf(ClosedException.class);
        assertThatThrownBy(() -> epoll.await(signalled, LONG)).isInstanceOf(ClosedException.class);
        assertThatThrownBy(() -> epoll.add(first)).isInstanceOf(ClosedException.class);
        first.signal();
        assertThat(first.take()).as("it is its owner's").isEqualTo(1);
    }

    @Test
    void aCloseInAnObserverOfTheWaitEndsIt() {
        Handle[] watched = new Handle[1];
        Kernel observed = ObservedKernel.observe(kernel, call -> {
            if (call.name().equals("poll") || call.name().equals("epoll_wait")) {
                watched[0].close();
            }
        });
        EventFd single = EventFd.create(observed);
        watched[0] = single;
        assertThatThrownBy(() -> single.await(LONG)).isInstanceOf(ClosedException.class);
        Epoll many = Epoll.create(observed);
        watched[0] = many;
        assertThatThrownBy(() -> many.await(signalled, LONG)).isInstanceOf(ClosedException.class);
    }

    @Test
    void anInterruptEndsAWait() throws Exception {
        epoll.add(first);
        for (Callable<Number> wait : List.<Callable<Number>>of(() -> epoll.await(signalled, LONG),
                () -> first.await(LONG))) {
            for (Thread.Builder builder : List.of(Thread.ofPlatform(), Thread.ofVirtual())) {
                FutureTask<Boolean> waiting = new FutureTask<>(
                        () -> wait.call().longValue() == 0 && Thread.currentThread().isInterrupted());
                Thread thread = builder.start(waiting);
                Thread.sleep(20);
                assertThat(waiting.isDone()).isFalse();
                thread.interrupt();
                assertThat(waiting.get(10, TimeUnit.SECONDS)).isTrue();
            }
        }
        first.signal();
        Thread.currentThread().interrupt();
        assertThat(first.await(LONG)).as("what is there is taken").isEqualTo(1);
        assertThat(first.await(LONG)).isZero();
        assertThat(Thread.interrupted()).isTrue();
    }

    /** As many wait as there are processors for virtual threads, and still there is one for the thread that signals. */
    @Test
    void virtualThreadsThatWaitKeepNobodyWaiting() throws Exception {
        int processors = Runtime.getRuntime().availableProcessors();
        CountDownLatch begun = new CountDownLatch(2 * processors);
        AtomicInteger woken = new AtomicInteger();
        List<FutureTask<Long>> waits = Stream.generate(() -> start(Thread.ofVirtual(), () -> {
            begun.countDown();
            long count = first.await(LONG);
            first.signal();
            woken.incrementAndGet();
            return count;
        })).limit(2L * processors).toList();
        begun.await();
        Thread.sleep(20);
        long start = System.nanoTime();
        start(Thread.ofVirtual(), () -> {
            first.signal();
            return null;
        }).get(10, TimeUnit.SECONDS);
        for (FutureTask<Long> wait : waits) {
            assertThat(wait.get(10, TimeUnit.SECONDS)).isPositive();
        }
        assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(10));
        assertThat(woken).hasValue(2 * processors);
    }
}
