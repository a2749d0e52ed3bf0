package dev.kvmvfio.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
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
        protected String reasonToStayOpen() {
            return reason;
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
        Thing older = root.adopt(new Thing("older"));
        root.adopt(new Thing("younger"));
        older.adopt(new Thing("grandchild"));
        root.close();
        assertThat(released()).containsExactly("younger", "grandchild", "older", "root");
        assertThat(older.isOpen()).isFalse();
    }

    @Test
    void closesOnce() {
        Thing root = new Thing("root").failing();
        root.adopt(new Thing("child"));
        assertThatThrownBy(root::close).isSameAs(root.failure);
        root.close();
        assertThat(released()).containsExactly("child", "root");
    }

    @Test
    void triesEverythingAndThrowsTheFirstFailureWithTheOthersSuppressed() {
        Thing root = new Thing("root").failing();
        Thing older = root.adopt(new Thing("older").failing());
        root.adopt(new Thing("middle"));
        Thing younger = root.adopt(new Thing("younger").failing());
        assertThatThrownBy(root::close).isSameAs(younger.failure).satisfies(
                first -> assertThat(first.getSuppressed()).containsExactly(older.failure, root.failure));
        assertThat(released()).containsExactly("younger", "middle", "older", "root");
        assertThat(root.isOpen()).isFalse();
    }

    @Test
    void goesQuietBeforeItsChildrenClose() {
        Thing root = new Thing("root");
        root.adopt(new Thing("child"));
        root.close();
        assertThat(events).containsExactly("quiesce root", "quiesce child", "child", "root");
    }

    @Test
    void quietensAllChildrenEvenWhenOneFails() {
        IllegalArgumentException failure = new IllegalArgumentException("busy");
        Thing root = new Thing("root");
        root.adopt(new Thing("older") {
            @Override
            protected void quiesce() {
                throw failure;
            }
        });
        root.adopt(new Thing("younger"));
        assertThatThrownBy(root::quiesceChildren).isSameAs(failure);
        assertThat(events).containsExactly("quiesce younger");
    }

    @Test
    void aChildOfTwoParentsClosesWithTheFirstOfThem() {
        Thing space = new Thing("space");
        Thing memory = new Thing("memory");
        Thing mapping = memory.adopt(space.adopt(new Thing("mapping")));
        memory.close();
        assertThat(released()).containsExactly("mapping", "memory");
        assertThat(mapping.isOpen()).isFalse();
        assertThat(space.children()).isEmpty();
        space.close();
        assertThat(released()).containsExactly("mapping", "memory", "space");
    }

    @Test
    void parentsForgetAClosedChild() {
        Thing one = new Thing("one");
        Thing other = new Thing("other");
        Thing child = other.adopt(one.adopt(new Thing("child")));
        assertThat(one.children()).containsExactly(child);
        child.close();
        assertThat(one.children()).isEmpty();
        assertThat(other.children()).isEmpty();
        one.close();
        other.close();
        assertThat(released()).containsExactly("child", "one", "other");
    }

    @Test
    void aClosedHandleClosesWhatItIsToAdopt() {
        Thing root = new Thing("root");
        root.close();
        Thing late = new Thing("late");
        assertThatThrownBy(() -> root.adopt(late)).isInstanceOf(IllegalStateException.class)
                .hasMessage("root is closed");
        assertThat(late.isOpen()).isFalse();
        assertThat(released()).containsExactly("root", "late");
    }

    @Test
    void aClosedChildJoinsNoParent() {
        Thing memory = new Thing("memory");
        Thing slot = new Thing("slot");
        slot.close();
        assertThatThrownBy(() -> memory.adopt(slot)).isInstanceOf(IllegalStateException.class)
                .hasMessage("slot is closed");
        assertThat(memory.children()).isEmpty();
    }

    @Test
    void aCloseReturnsWhenAllOfItIsDoneByAnyThread() throws InterruptedException {
        CountDownLatch releasing = new CountDownLatch(1);
        CountDownLatch mayGoOn = new CountDownLatch(1);
        Thing root = new Thing("root");
        Thing child = root.adopt(new Thing("child") {
            @Override
            protected void quiesce() {
                releasing.countDown();
                try {
                    mayGoOn.await();
                } catch (InterruptedException impossible) {
                    throw new IllegalStateException(impossible);
                }
            }
        });
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
                adopt(late);
            }
        };
        assertThatThrownBy(root::close).isInstanceOf(IllegalStateException.class).hasMessage("root is closed");
        assertThat(released()).containsExactly("late", "root");
    }

    @Test
    void whatFailsWhileOpeningIsUndone() {
        IllegalStateException failure = new IllegalStateException("no such thing");
        Thing half = new Thing("half").failing();
        assertThatThrownBy(() -> Handle.complete(half, opened -> {
            opened.adopt(new Thing("child"));
            throw failure;
        })).isSameAs(failure).hasSuppressedException(half.failure);
        assertThat(released()).containsExactly("child", "half");
    }

    @Test
    void whatOpensStaysOpen() {
        Thing whole = new Thing("whole");
        assertThat(Handle.complete(whole, opened -> opened.adopt(new Thing("child")))).isSameAs(whole);
        assertThat(whole.isOpen()).isTrue();
        assertThat(events).isEmpty();
    }

    @Test
    void refusingToCloseChangesNothing() {
        Thing memory = new Thing("memory");
        Thing user = memory.adopt(new Thing("user"));
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
        root.adopt(new Thing("older"));
        Thing memory = root.adopt(new Thing("memory"));
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
            root.adopt(new Thing("child"));
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
