package dev.kvmvfio.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.reflect.Proxy;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A kernel gives the number of a closed file to the next one at once, and threads that were using the old one must never
 * reach the new one. The system property {@code close.races} says how many files get the number.
 */
class ReusedNumberTest {
    private static final int FILES = Integer.getInteger("close.races", 300);
    private static final int NUMBER = 7;

    /** A file, and how many had its number before. */
    private record Open(FileDescriptor fd, int before) {
    }

    /** A thread that uses whatever file has the number, until all are closed. */
    private final class User extends Thread {
        private final Consumer<FileDescriptor> call;
        private int before;

        User(Consumer<FileDescriptor> call) {
            this.call = call;
            setDaemon(true);
        }

        @Override
        public void run() {
            for (Open open = current; open != null; open = current) {
                before = open.before;
                try {
                    call.accept(open.fd);
                } catch (ClosedException closed) {
                    Thread.onSpinWait();
                }
            }
        }
    }

    private final AtomicInteger closed = new AtomicInteger();
    private final AtomicLong reached = new AtomicLong();
    private final AtomicLong missed = new AtomicLong();
    private volatile Open current;

    private final Kernel kernel = (Kernel) Proxy.newProxyInstance(Kernel.class.getClassLoader(),
            new Class<?>[]{Kernel.class}, (_, method, _) -> {
                if (method.getName().equals("close")) {
                    closed.incrementAndGet();
                } else {
                    reach();
                }
                return method.getReturnType() == int.class ? (Object) 0 : (Object) 0L;
            });

    private void reach() {
        int before = ((User) Thread.currentThread()).before;
        boolean found = closed.get() == before;
        Thread.onSpinWait();
        (found && closed.get() == before ? reached : missed).incrementAndGet();
    }

    static Stream<Consumer<FileDescriptor>> everyCall() {
        return FileDescriptorTest.everyCall();
    }

    @ParameterizedTest
    @MethodSource("everyCall")
    @Timeout(3600)
    void noCallReachesTheNextFileOfItsNumber(Consumer<FileDescriptor> call) throws InterruptedException {
        List<User> users = List.of(new User(call), new User(call));
        current = open();
        users.forEach(Thread::start);
        for (int file = 1; file < FILES; file++) {
            long before = reached.get();
            await(() -> reached.get() > before);
            current.fd.close();
            // The last call that used the number gives it back.
            int files = file;
            await(() -> closed.get() == files);
            current = open();
        }
        Open last = current;
        current = null;
        last.fd.close();
        for (User user : users) {
            user.join();
        }
        assertThat(closed).hasValue(FILES);
        assertThat(missed).hasValue(0);
        System.out.println(reached + " calls on " + FILES + " files of one number, and none on another's");
    }

    private Open open() {
        return new Open(FileDescriptor.own(kernel, NUMBER, "file"), closed.get());
    }

    private static void await(BooleanSupplier condition) {
        while (!condition.getAsBoolean()) {
            Thread.yield();
        }
    }
}
