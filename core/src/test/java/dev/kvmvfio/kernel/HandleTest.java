package dev.kvmvfio.kernel;

import dev.kvmvfio.internal.Lifecycle;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;

class HandleTest {
    private final List<String> events = Collections.synchronizedList(new ArrayList<>());

    /** Writes down what happens to it, and fails or refuses on request. */
    private class Thing extends Handle {
        private final String name;
        private RuntimeException failure;
        private String reason;

        Thing(String name) {
            this.name = name;
        }

        Thing failing() {
            failure = new IllegalArgumentException(name);
            return this;
        }

        @Override
        protected Optional<String> reasonToStayOpen() {
            return Optional.ofNullable(reason);
        }

        @Override
        protected void quiesce() {
            events.add("quiesce " + name);
        }

        @Override
        protected void release() {
            events.add(name);
            if (failure != null) {
                throw failure;
            }
        }

        @Override
        public String toString() {
            return name;
        }
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
        Thing root = new Thing("root").failing();
        Lifecycle.adopt(new Thing("child"), root);
        assertThatThrownBy(root::close).isSameAs(root.failure);
        root.close();
        assertThat(released()).containsExactly("child", "root");
    }

    @Test
    void triesEverythingAndThrowsTheFirstFailureWithTheOthersSuppressed() {
        Thing root = new Thing("root").failing();
        Thing older = Lifecycle.adopt(new Thing("older").failing(), root);
        Lifecycle.adopt(new Thing("middle"), root);
        Thing younger = Lifecycle.adopt(new Thing("younger").failing(), root);
        assertThatThrownBy(root::close).isSameAs(younger.failure).satisfies(
                first -> assertThat(first.getSuppressed()).containsExactly(older.failure, root.failure));
        assertThat(released()).containsExactly("younger", "middle", "older", "root");
        assertThat(root.isOpen()).isFalse();
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
            protected void quiesce() {
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
        assertThatThrownBy(() -> Lifecycle.adopt(late, root)).isInstanceOf(IllegalStateException.class)
                .hasMessage("root is closed");
        assertThat(late.isOpen()).isFalse();
        assertThat(released()).containsExactly("root", "late");
    }

    @Test
    void aClosedChildJoinsNoParent() {
        Thing memory = new Thing("memory");
        Thing slot = new Thing("slot");
        slot.close();
        assertThatThrownBy(() -> Lifecycle.adopt(slot, memory)).isInstanceOf(IllegalStateException.class)
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
            protected void quiesce() {
                releasing.countDown();
                try {
                    mayGoOn.await();
                } catch (InterruptedException impossible) {
                    throw new IllegalStateException(impossible);
                }
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
        Thing late = new Thing("late");
        Thing root = new Thing("root") {
            @Override
            protected void quiesce() {
                assertThat(isOpen()).isFalse();
                Lifecycle.adopt(late, this);
            }
        };
        assertThatThrownBy(root::close).isInstanceOf(IllegalStateException.class).hasMessage("root is closed");
        assertThat(released()).containsExactly("late", "root");
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
    void refusingToCloseChangesNothing() {
        Thing memory = new Thing("memory");
        Thing user = Lifecycle.adopt(new Thing("user"), memory);
        memory.reason = "memory is in use";
        assertThatThrownBy(memory::close).isInstanceOf(IllegalStateException.class).hasMessage("memory is in use");
        assertThat(events).isEmpty();
        assertThat(memory.isOpen()).isTrue();
        assertThat(user.isOpen()).isTrue();
        memory.reason = null;
        memory.close();
        assertThat(released()).containsExactly("user", "memory");
    }

    @Test
    void aChildThatRefusesKeepsNothingElseOpen() {
        Thing root = new Thing("root");
        Lifecycle.adopt(new Thing("older"), root);
        Thing memory = Lifecycle.adopt(new Thing("memory"), root);
        memory.reason = "memory is in use";
        assertThatThrownBy(root::close).hasMessage("memory is in use");
        assertThat(released()).containsExactly("older", "root");
        memory.reason = null;
        memory.close();
        assertThat(memory.isOpen()).isFalse();
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
