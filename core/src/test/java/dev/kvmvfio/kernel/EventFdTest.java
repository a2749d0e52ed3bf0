package dev.kvmvfio.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class EventFdTest {
    private static final Duration LONG = Duration.ofMinutes(1);

    private final EventFd eventFd = EventFd.create(Kernel.linux());

    @AfterEach
    void close() {
        eventFd.close();
    }

    @Test
    void takesHowOftenItWasSignalled() {
        assertThat(eventFd.take()).isZero();
        eventFd.signal();
        eventFd.signal();
        eventFd.signal();
        assertThat(eventFd.take()).isEqualTo(3);
        assertThat(eventFd.take()).isZero();
    }

    @Test
    void awaitTakesWhatIsThereAtOnce() {
        eventFd.signal();
        eventFd.signal();
        assertThat(eventFd.await(Duration.ZERO)).isEqualTo(2);
        assertThat(eventFd.await(Duration.ofMillis(-1))).isZero();
    }

    @Test
    void awaitEndsWithItsTime() {
        Duration patience = Duration.ofMillis(30);
        long start = System.nanoTime();
        assertThat(eventFd.await(patience)).isZero();
        assertThat(Duration.ofNanos(System.nanoTime() - start)).isBetween(patience, LONG);
    }

    @Test
    void awaitWakesWithASignal() throws InterruptedException {
        AtomicLong count = new AtomicLong(-1);
        CountDownLatch waits = new CountDownLatch(1);
        Thread waiter = Thread.ofPlatform().start(() -> {
            waits.countDown();
            count.set(eventFd.await(LONG));
        });
        waits.await();
        assertThat(waiter.join(Duration.ofMillis(20))).isFalse();
        eventFd.signal();
        assertThat(waiter.join(LONG.dividedBy(2))).isTrue();
        assertThat(count).hasValue(1);
    }

    /** The other waiter may have taken the count between the wake-up and the read. */
    @Test
    void oneSignalEndsOneWait() throws InterruptedException {
        AtomicLong sum = new AtomicLong();
        Runnable wait = () -> sum.addAndGet(eventFd.await(Duration.ofMillis(300)));
        Thread one = Thread.ofPlatform().start(wait);
        Thread other = Thread.ofPlatform().start(wait);
        Thread.sleep(20);
        eventFd.signal();
        one.join();
        other.join();
        assertThat(sum).hasValue(1);
    }

    @Test
    void aCloseEndsEveryWait() throws InterruptedException {
        Duration forEver = Duration.ofSeconds(Long.MAX_VALUE);
        AtomicInteger ended = new AtomicInteger();
        Runnable wait = () -> {
            assertThatThrownBy(() -> eventFd.await(forEver)).isInstanceOf(IllegalStateException.class);
            ended.incrementAndGet();
        };
        List<Thread> waiters = List.of(Thread.ofPlatform().start(wait), Thread.ofPlatform().start(wait));
        Thread.sleep(20);
        eventFd.close();
        for (Thread waiter : waiters) {
            assertThat(waiter.join(LONG)).isTrue();
        }
        assertThat(ended).hasValue(2);
    }

    @Test
    void aClosedOneThrows() {
        eventFd.close();
        assertThatThrownBy(eventFd::signal).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(eventFd::take).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> eventFd.await(LONG)).isInstanceOf(IllegalStateException.class);
    }
}
