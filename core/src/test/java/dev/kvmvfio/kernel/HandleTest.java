package dev.kvmvfio.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.kvmvfio.internal.Lifecycle;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;

class HandleTest {
    private int things;
    private final List<String> events = Collections.synchronizedList(new ArrayList<>());

    /** Writes down what happens to it, and fails or refuses on request. */
    private class Thing extends Handle {
        private final String name;
        private Throwable failure;

        /** What is made later is lower. */
        Thing(String name) {
            super(things++);
            this.name = name;
        }

        Thing failing() {
            failure = new IllegalArgumentException(name);
            return this;
        }

        @Override
        protected boolean quiesce() {
            events.add("quiesce " + name);
            return true;
        }

        @Override
        protected void release() {
            events.add(name);
            if (failure != null) {
                throw HandleTest.<RuntimeException>unchecked(failure);
            }
        }

        @Override
        public String toString() {
            return name;
        }
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> T unchecked(Throwable failure) throws T {
        throw (T) failure;
    }

    private List<String> released() {
        return events.stream().filter(event -> !event.startsWith("quiesce")).toList();
    }

    @Test
    void closesTheYoungestChildFirstAndItselfLast() {
        Thing root = new Thing("root");
        Thing older = Lifecycle.adopt(new Thing("older"), root);
        Lifecycle.adopt(new Thing("younger"), root);
        Lifecycle.adopt(new Thing("grandchild"), older);
        root.close();
        assertThat(released()).containsExactly("younger", "grandchild", "older", "root");
        assertThat(older.isOpen()).isFalse();
    }

    @Test
    void closesOnce() {
        Thing root = new Thing("root");
        Lifecycle.adopt(new Thing("child"), root);
        root.close();
        root.close();
        assertThat(released()).containsExactly("child", "root");
    }

    @Test
    void triesEverythingAndThrowsTheFirstFailureWithTheOthersSuppressed() {
        Thing root = new Thing("root");
        Thing older = Lifecycle.adopt(new Thing("older").failing(), root);
        Lifecycle.adopt(new Thing("middle"), root);
        Thing younger = Lifecycle.adopt(new Thing("younger").failing(), root);
        assertThatThrownBy(root::close).isSameAs(younger.failure).satisfies(
                first -> assertThat(first.getSuppressed()).containsExactly(older.failure));
        assertThat(released()).containsExactly("younger", "middle", "older");
        assertThat(root.isOpen()).isFalse();
        assertThat(Lifecycle.children(root)).containsExactly(older, younger);
    }

    @Test
    void whatWasRefusedKeepsWhatItNeedsUntilAnotherCloseGoesOn() {
        Thing root = new Thing("root");
        Thing memory = new Thing("memory");
        Thing slot = Lifecycle.adopt(new Thing("slot").failing(), root, memory);
        assertThatThrownBy(memory::close).isSameAs(slot.failure);
        assertThatThrownBy(root::close).isSameAs(slot.failure);
        assertThat(released()).containsExactly("slot", "slot");
        slot.failure = null;
        memory.close();
        assertThat(released()).as("the root waited for the slot alone")
                .containsExactly("slot", "slot", "slot", "memory", "root");
    }

    @Test
    void whatIsNotThereAnyMoreIsGivenBack() {
        Thing root = new Thing("root");
        Thing slot = Lifecycle.adopt(new Thing("slot"), root);
        slot.failure = new KernelException("REMOVE", slot, -Errno.ENOENT.number());
        root.close();
        assertThat(released()).containsExactly("slot", "root");
    }

    @Test
    void afterAnErrorARefusalMeansThatItWasDone() {
        Thing root = new Thing("root");
        Thing slot = Lifecycle.adopt(new Thing("slot"), root);
        KernelException refused = new KernelException("REMOVE", slot, -Errno.EINVAL.number());
        slot.failure = refused;
        assertThatThrownBy(root::close).isSameAs(refused);
        slot.failure = new OutOfMemoryError("test");
        assertThatThrownBy(root::close).isSameAs(slot.failure);
        slot.failure = refused;
        root.close();
        assertThat(released()).containsExactly("slot", "slot", "slot", "root");
    }

    @Test
    void whatCannotBeMadeIsNotReleased() {
        Thing root = new Thing("root");
        Thing slot = new Thing("slot");
        KernelException refused = new KernelException("ADD", slot, -Errno.EEXIST.number());
        assertThatThrownBy(() -> Lifecycle.make(slot, () -> {
            assertThat(Lifecycle.children(root)).as("not there yet").isEmpty();
            throw refused;
        }, root)).isSameAs(refused);
        assertThat(slot.isOpen()).isFalse();
        assertThat(released()).isEmpty();
    }

    @Test
    void whatMayHaveBeenMadeIsReleased() {
        Thing root = new Thing("root");
        Thing slot = new Thing("slot");
        AssertionError unknown = new AssertionError("an observer's");
        assertThatThrownBy(() -> Lifecycle.make(slot, () -> {
            throw unknown;
        }, root)).isSameAs(unknown);
        assertThat(released()).containsExactly("slot");
        root.close();
        assertThat(released()).containsExactly("slot", "root");
    }

    @Test
    void aCloseWaitsForWhatIsBeingMade() throws InterruptedException {
        CountDownLatch making = new CountDownLatch(1);
        CountDownLatch mayGoOn = new CountDownLatch(1);
        Thing root = new Thing("root");
        Thing slot = new Thing("slot");
        Thread maker = Thread.ofPlatform().start(() -> Lifecycle.make(slot, () -> {
            making.countDown();
            await(mayGoOn);
            events.add("made");
        }, root));
        making.await();
        Thread closer = Thread.ofPlatform().start(root::close);
        assertThat(closer.join(Duration.ofMillis(20))).isFalse();
        mayGoOn.countDown();
        maker.join();
        closer.join();
        assertThat(released()).containsExactly("made", "slot", "root");
    }

    @Test
    void aCloseWithinACallWaitsForNobodyAndGoesOnAfterIt() throws InterruptedException {
        CountDownLatch looking = new CountDownLatch(1);
        CountDownLatch mayGoOn = new CountDownLatch(1);
        Thing root = new Thing("root");
        Thread other = Thread.ofPlatform().start(() -> Lifecycle.lease(root, () -> {
            looking.countDown();
            await(mayGoOn);
            return root;
        }));
        looking.await();
        Lifecycle.callBack(() -> {
            root.close();
            assertThat(root.isOpen()).isFalse();
            assertThat(released()).isEmpty();
            mayGoOn.countDown();
        });
        assertThat(released()).containsExactly("root");
        other.join();
    }

    @Test
    void whatIsAboveIsClosedAfterwards() {
        Thing upper = new Thing("upper");
        Thing root = new Thing("root");
        Thing child = Lifecycle.adopt(new Thing("child") {
            @Override
            protected void release() {
                upper.close();
                super.release();
            }
        }, root);
        Lifecycle.follow(child, () -> events.add("follower"));
        root.close();
        assertThat(released()).containsExactly("child", "root", "upper", "follower");
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    @Test
    void goesQuietBeforeItsChildrenClose() {
        Thing root = new Thing("root");
        Lifecycle.adopt(new Thing("child"), root);
        root.close();
        assertThat(events).containsExactly("quiesce root", "quiesce child", "child", "root");
    }

    @Test
    void quietensAllChildrenEvenWhenOneFails() {
        IllegalArgumentException failure = new IllegalArgumentException("busy");
        Thing root = new Thing("root");
        Lifecycle.adopt(new Thing("older") {
            @Override
            protected boolean quiesce() {
                throw failure;
            }
        }, root);
        Lifecycle.adopt(new Thing("younger"), root);
        assertThatThrownBy(() -> Lifecycle.quiesceChildren(root)).isSameAs(failure);
        assertThat(events).containsExactly("quiesce younger");
    }

    @Test
    void aChildOfTwoParentsClosesWithTheFirstOfThem() {
        Thing space = new Thing("space");
        Thing memory = new Thing("memory");
        Thing mapping = Lifecycle.adopt(new Thing("mapping"), space, memory);
        memory.close();
        assertThat(released()).containsExactly("mapping", "memory");
        assertThat(mapping.isOpen()).isFalse();
        assertThat(Lifecycle.children(space)).isEmpty();
        space.close();
        assertThat(released()).containsExactly("mapping", "memory", "space");
    }

    @Test
    void parentsForgetAClosedChild() {
        Thing one = new Thing("one");
        Thing other = new Thing("other");
        Thing child = Lifecycle.adopt(new Thing("child"), one, other);
        assertThat(Lifecycle.children(one)).containsExactly(child);
        child.close();
        assertThat(Lifecycle.children(one)).isEmpty();
        assertThat(Lifecycle.children(other)).isEmpty();
        one.close();
        other.close();
        assertThat(released()).containsExactly("child", "one", "other");
    }

    @Test
    void aClosedHandleClosesWhatItIsToAdopt() {
        Thing root = new Thing("root");
        root.close();
        Thing late = new Thing("late");
        assertThatThrownBy(() -> Lifecycle.adopt(late, root)).isInstanceOf(ClosedException.class)
                .hasMessage("root is closed");
        assertThat(late.isOpen()).isFalse();
        assertThat(released()).containsExactly("root", "late");
    }

    @Test
    void aClosedChildJoinsNoParent() {
        Thing memory = new Thing("memory");
        Thing slot = new Thing("slot");
        slot.close();
        assertThatThrownBy(() -> Lifecycle.adopt(slot, memory)).isInstanceOf(ClosedException.class)
                .hasMessage("slot is closed");
        assertThat(Lifecycle.children(memory)).isEmpty();
    }

    @Test
    void aCloseReturnsWhenAllOfItIsDoneByAnyThread() throws InterruptedException {
        CountDownLatch releasing = new CountDownLatch(1);
        CountDownLatch mayGoOn = new CountDownLatch(1);
        Thing root = new Thing("root");
        Thing child = Lifecycle.adopt(new Thing("child") {
            @Override
            protected boolean quiesce() {
                releasing.countDown();
                await(mayGoOn);
                return true;
            }
        }, root);
        Thread closesChild = Thread.ofPlatform().start(child::close);
        releasing.await();
        assertThat(child.isOpen()).isFalse();
        Thread closesRoot = Thread.ofPlatform().start(root::close);
        assertThat(closesRoot.join(Duration.ofMillis(20))).isFalse();
        mayGoOn.countDown();
        closesRoot.join();
        assertThat(released()).containsExactly("child", "root");
        closesChild.join();
    }

    @Test
    void countsAsClosedWhileItCloses() {
        Thing root = new Thing("root") {
            @Override
            protected boolean quiesce() {
                assertThat(isOpen()).isFalse();
                assertThatThrownBy(() -> Lifecycle.adopt(new Thing("late"), this)).isInstanceOf(ClosedException.class)
                        .hasMessage("root is closed");
                return true;
            }
        };
        root.close();
        assertThat(released()).containsExactly("late", "root");
    }

    @Test
    void whatCannotBeStoppedKeepsAllThatIsBelow() {
        IllegalStateException failure = new IllegalStateException("it goes on");
        boolean[] stops = new boolean[1];
        Thing root = new Thing("root") {
            @Override
            protected boolean quiesce() {
                if (!stops[0]) {
                    throw failure;
                }
                return true;
            }
        };
        Lifecycle.adopt(new Thing("child"), root);
        assertThatThrownBy(root::close).isSameAs(failure);
        assertThat(released()).isEmpty();
        stops[0] = true;
        root.close();
        assertThat(released()).containsExactly("child", "root");
    }

    @Test
    void whatFailsWhileOpeningIsUndone() {
        IllegalStateException failure = new IllegalStateException("no such thing");
        Thing half = new Thing("half").failing();
        assertThatThrownBy(() -> Lifecycle.complete(half, opened -> {
            Lifecycle.adopt(new Thing("child"), opened);
            throw failure;
        })).isSameAs(failure).hasSuppressedException(half.failure);
        assertThat(released()).containsExactly("child", "half");
    }

    @Test
    void whatOpensStaysOpen() {
        Thing whole = new Thing("whole");
        assertThat(Lifecycle.complete(whole, opened -> Lifecycle.adopt(new Thing("child"), opened))).isSameAs(whole);
        assertThat(whole.isOpen()).isTrue();
        assertThat(events).isEmpty();
    }

    @Test
    void threadsThatCloseAtTheSameTimeReleaseOnce() throws InterruptedException {
        for (int round = 0; round < 500; round++) {
            Thing root = new Thing("root");
            Lifecycle.adopt(new Thing("child"), root);
            CountDownLatch start = new CountDownLatch(1);
            List<Throwable> failures = Collections.synchronizedList(new ArrayList<>());
            List<Thread> threads = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                threads.add(Thread.ofPlatform().start(() -> {
                    Throwable failure = catchThrowable(() -> {
                        start.await();
                        root.close();
                    });
                    if (failure != null) {
                        failures.add(failure);
                    }
                }));
            }
            start.countDown();
            for (Thread thread : threads) {
                thread.join();
            }
            assertThat(failures).isEmpty();
            assertThat(released()).containsExactly("child", "root");
            events.clear();
        }
    }
}
