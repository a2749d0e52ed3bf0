package dev.kvmvfio.shell;

import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.locks.LockSupport;

/** The one thread that all snippets run on, because a vCPU belongs to the thread that first ran it. */
final class SnippetThread {
    private static final Duration BETWEEN_SIGNALS = Duration.ofMillis(10);

    private volatile Thread thread;
    private final ExecutorService queue = Executors.newSingleThreadExecutor(work -> {
        thread = Thread.ofPlatform().name("shell").daemon().unstarted(work);
        return thread;
    });

    /** Runs a snippet, and throws what it threw. When the caller is interrupted, so is the snippet. */
    Object run(Callable<?> snippet) throws Throwable {
        Future<?> result = queue.submit(() -> {
            Thread.interrupted();
            Prompt.noteThread();
            return snippet.call();
        });
        while (true) {
            try {
                return result.get();
            } catch (InterruptedException stopped) {
                stop(result);
            } catch (ExecutionException failure) {
                throw failure.getCause();
            }
        }
    }

    /** A guest and a wait end by a signal; one that comes before they begin is lost, so it is sent until they have ended. */
    private void stop(Future<?> running) {
        while (!running.isDone()) {
            thread.interrupt();
            Prompt.interrupt();
            LockSupport.parkNanos(BETWEEN_SIGNALS.toNanos());
        }
    }
}
