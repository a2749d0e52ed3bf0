package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.EINTR;

import dev.kvmvfio.mock.model.DmaFault;
import dev.kvmvfio.mock.model.KernelProfile;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;

/** The modelled computer: everything that outlives an open file, under one lock. */
public final class Machine {
    private final KernelProfile profile;
    private final UserProcess process;
    private final UserMemory userMemory;
    private final PhysicalMemory physicalMemory = new PhysicalMemory();
    private final HugePagePool hugePagePool;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    /** The threads that wait in a call that a signal ends, and have got none yet. */
    private final Set<Integer> interruptible = new HashSet<>();
    private final List<Guest> guests = new ArrayList<>();
    private final Set<Holder> holders = new LinkedHashSet<>();
    private final List<DmaFault> dmaFaults = new ArrayList<>();

    public Machine(KernelProfile profile, UserProcess process, HugePagePool hugePagePool) {
        this.profile = profile;
        this.process = process;
        this.userMemory = new UserMemory(process.addressSpace());
        this.hugePagePool = hugePagePool;
    }

    /** Something that a program must give back before it ends. */
    public interface Holder {
        /** What it holds now, in words; empty when nothing. */
        List<String> held();
    }

    /** Code that has a thread of its own, which must end before the machine does. */
    public interface Guest {
        void stop();

        /** Waits for the end of what was stopped. */
        void join();
    }

    public KernelProfile profile() {
        return profile;
    }

    /** Whether this kernel is a certain one or newer. */
    public boolean isAtLeast(KernelProfile first) {
        return profile.compareTo(first) >= 0;
    }

    public UserProcess process() {
        return process;
    }

    public FileTable files() {
        return process.files();
    }

    public UserMemory userMemory() {
        return userMemory;
    }

    public PhysicalMemory physicalMemory() {
        return physicalMemory;
    }

    HugePagePool hugePagePool() {
        return hugePagePool;
    }

    public List<DmaFault> dmaFaults() {
        return dmaFaults;
    }

    public <T> T locked(Supplier<T> action) {
        lock.lock();
        try {
            return action.get();
        } finally {
            lock.unlock();
        }
    }

    public void locked(Runnable action) {
        locked(() -> {
            action.run();
            return null;
        });
    }

    public void add(Guest guest) {
        guests.add(guest);
    }

    public void add(Holder holder) {
        holders.add(holder);
    }

    public void remove(Holder holder) {
        holders.remove(holder);
    }

    /** Wakes every call that waits for an eventfd. */
    public void changed() {
        changed.signalAll();
    }

    /** Waits for {@link #changed()}, with the lock released; a signal does not end the call, which begins again. */
    public void await() {
        await(Long.MAX_VALUE);
    }

    /** Waits for {@link #changed()} or until the time is over, in a call that a signal ends. */
    public void awaitOrInterrupt(long nanoseconds) {
        int thread = threadId();
        interruptible.add(thread);
        try {
            await(nanoseconds);
            Refusal.when(!interruptible.contains(thread), EINTR);
        } finally {
            interruptible.remove(thread);
        }
    }

    /** Lets a time pass, with the lock released. */
    public void pause(long nanoseconds) {
        long end = System.nanoTime() + nanoseconds;
        for (long left = nanoseconds; left > 0; left = end - System.nanoTime()) {
            await(left);
        }
    }

    private void await(long nanoseconds) {
        try {
            changed.await(nanoseconds, TimeUnit.NANOSECONDS);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw Refusal.of(EINTR);
        }
    }

    /** The number of a thread of the process, which is the thread of the test that calls. */
    static int threadId() {
        return (int) Thread.currentThread().threadId();
    }

    /** A signal to a thread, which ends the call that it waits in; a thread that does not wait takes no notice. */
    void interrupt(int thread) {
        interruptible.remove(thread);
        changed();
    }

    /** Ends the guests, and then gives the memory back. */
    public void close() {
        locked(() -> guests.forEach(Guest::stop));
        guests.forEach(Guest::join);
        locked(physicalMemory::close);
    }

    /** What is not given back yet, and where it was taken; that is empty for what others take along. */
    public record Leak(String words, String origin) {
    }

    /** Everything that is not given back yet. */
    public List<Leak> leaks() {
        List<Leak> leaks = new ArrayList<>();
        files().leaked().forEach((fd, file) -> leaks
                .add(new Leak("fd " + fd + " is open: " + file, files().origin(fd).toString())));
        process.addressSpace().mappings()
                .forEach(mapping -> leaks.add(new Leak("mapped: " + mapping, mapping.origin().toString())));
        holders.forEach(holder -> holder.held().forEach(words -> leaks.add(new Leak(words, ""))));
        if (process.accountedPages() != 0) {
            leaks.add(new Leak(process.accountedPages() + " pages are pinned", ""));
        }
        return leaks;
    }
}
