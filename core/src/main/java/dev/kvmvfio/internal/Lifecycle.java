package dev.kvmvfio.internal;

import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.FileDescriptor;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kernel.KvmVfioException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.SequencedSet;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The life of a {@link Handle}: who its parents and children are, and how it ends. The handle's type says what is to be
 * stopped and given back.
 *
 * <p>A handle is closed with each of its parents. It closes, and waits for, only what is lower in the order of
 * {@link Rank}. What must go upward, and what a thread may not wait for because it is in a call that somebody else may
 * wait for, the same thread does when it is out of its calls and closes. A handle whose release was refused stays with
 * its parents, which stay as well, until a later close goes on with it.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread. Each life has a lock of its own, which is held over
 * no wait, no call and no other lock but that of a child that joins.
 */
public final class Lifecycle {
    private enum State {
        OPEN, CLOSING, FAILED, CLOSED
    }

    private static final int[] DEVICES_FIRST = {Rank.ATTACHED_DEVICE, Rank.USE};
    private static final long SHORTEST_WAIT_NANOS = 50_000;
    private static final long LONGEST_WAIT_NANOS = 2_000_000;

    private final int rank;
    private volatile State state = State.OPEN;
    /** Whether its close was put off. */
    private volatile boolean ending;
    private volatile @Nullable Thread closer;
    /** Changed under the lock. */
    private volatile int leases;
    /** Whether there is something to give back. A handle joins its parents before the call that makes it. */
    private volatile boolean exists = true;
    /** Whether a call ended in a way that does not say if the kernel did it. */
    private boolean unsure;
    private @Nullable Bond oldest;
    private @Nullable Bond youngest;
    /** To its parents. Of an open handle they become more; of one that is being closed they stay. */
    private @Nullable Bond bonds;
    /** Steps to run, and handles to close. */
    private volatile List<Object> followers = List.of();
    private volatile Dropped.@Nullable Watch watch;

    /** That a handle belongs to another. The children of a parent are a list of them, guarded by the parent's lock. */
    private static final class Bond {
        final Handle parent;
        final Handle child;
        /** Of the same child, to another parent. */
        final @Nullable Bond next;
        @Nullable
        Bond older;
        @Nullable
        Bond younger;

        Bond(Handle parent, Handle child, @Nullable Bond next) {
            this.parent = parent;
            this.child = child;
            this.next = next;
        }
    }

    /**
     * Begins the life of a handle, which is open and has nobody.
     *
     * @param rank one of {@link Rank}
     */
    public Lifecycle(int rank) {
        this.rank = rank;
    }

    private static Lifecycle of(Handle handle) {
        return KernelAccess.get().lifecycle(handle);
    }

    /**
     * Begins to watch a handle that belongs to no other, so that it is reported when a program drops it.
     *
     * @param name what the report says
     */
    public static <H extends Handle> H root(H handle, String name) {
        of(handle).watch = Dropped.watch(handle, name, -1);
        return handle;
    }

    /**
     * Begins to watch a handle that belongs to no other, so that it is reported when a program drops it.
     *
     * @param fd its file
     */
    public static <H extends Handle> H root(H handle, FileDescriptor fd) {
        of(handle).watch = Dropped.watch(handle, KernelAccess.get().name(fd), fd.number());
        return handle;
    }

    private void endWatch() {
        Dropped.Watch ended = watch;
        if (ended != null) {
            watch = null;
            ended.end();
        }
    }

    // What joins whom.

    /**
     * Makes a handle the child of others and then makes the call that brings it into being, so that no close of a parent
     * can pass the call. When the call fails there is no such handle.
     *
     * @return the child
     * @throws ClosedException when a parent is closed
     */
    public static <H extends Handle> H make(H child, Runnable call, Handle... parents) {
        @Nullable
        Object[] turn = Turn.current();
        Lifecycle life = of(child);
        life.exists = false;
        int thrown = Turn.thrown(turn);
        int[] counts = Turn.counts(turn);
        life.beginLease(child);
        counts[Turn.LEASES]++;
        Throwable failure = null;
        try {
            for (Handle parent : parents) {
                join(parent, child);
            }
            call.run();
            life.exists = true;
        } catch (Throwable thrownInstead) {
            failure = thrownInstead;
            boolean answered = thrown == Turn.thrown(turn);
            life.unsure = life.exists = answered ? !isRefusal(failure) : Turn.lastThrown(turn) != Made.NOTHING;
        } finally {
            counts[Turn.LEASES]--;
            synchronized (life) {
                life.leases--;
            }
        }
        if (failure != null) {
            throw undone(child, failure);
        }
        drain(turn);
        return child;
    }

    /** What was thrown instead of a call, or because the kernel refused it: nothing was made. */
    private static boolean isRefusal(Throwable thrown) {
        return thrown instanceof KvmVfioException && !(thrown instanceof AnswerException)
                || thrown instanceof ClosedException || thrown instanceof IllegalArgumentException
                || thrown instanceof UnsupportedOperationException;
    }

    /**
     * Makes a handle that exists already the child of others. Where that must not cross a close of a parent, it is done
     * within a lease of the parent.
     *
     * @return the child; it is closed at once when a parent is closed already
     * @throws ClosedException when a parent is closed, or the child was closed meanwhile
     */
    public static <H extends Handle> H adopt(H child, Handle... parents) {
        return complete(child, self -> {
            for (Handle parent : parents) {
                join(parent, self);
            }
        });
    }

    private static void join(Handle parent, Handle child) {
        Lifecycle above = of(parent);
        Lifecycle below = of(child);
        synchronized (above) {
            above.requireOpen(parent);
            synchronized (below) {
                below.requireOpen(child);
                below.endWatch();
                above.addYoungest(below.bondTo(parent, child));
            }
        }
    }

    /** One that joins again is the youngest again. */
    private Bond bondTo(Handle parent, Handle self) {
        for (Bond bond = bonds; bond != null; bond = bond.next) {
            if (bond.parent == parent) {
                of(parent).remove(bond);
                return bond;
            }
        }
        return bonds = new Bond(parent, self, bonds);
    }

    private void addYoungest(Bond bond) {
        bond.older = youngest;
        bond.younger = null;
        if (youngest == null) {
            oldest = bond;
        } else {
            youngest.younger = bond;
        }
        youngest = bond;
    }

    private void remove(Bond bond) {
        if (bond.older == null) {
            oldest = bond.younger;
        } else {
            bond.older.younger = bond.younger;
        }
        if (bond.younger == null) {
            youngest = bond.older;
        } else {
            bond.younger.older = bond.older;
        }
    }

    private void requireOpen(Handle self) {
        if (state != State.OPEN || ending) {
            throw new ClosedException(self);
        }
    }

    /** A parent whose close was held up by this child alone goes on: perhaps nobody has it any more to close it. */
    private static void leave(Bond bond, @Nullable Object[] turn) {
        Lifecycle life = of(bond.parent);
        synchronized (life) {
            life.remove(bond);
            if (life.youngest == null && life.state == State.FAILED) {
                Turn.putOff(turn, bond.parent);
            }
        }
    }

    /** The children that are there now, the oldest first: a copy. One that is being made is not among them yet. */
    public static List<Handle> children(Handle parent) {
        return of(parent).all().stream().filter(child -> of(child).exists).toList();
    }

    /** The children of one type that are there now, the oldest first: a copy. */
    public static <H extends Handle> List<H> children(Handle parent, Class<H> type) {
        return children(parent).stream().filter(type::isInstance).map(type::cast).toList();
    }

    /**
     * Runs a step after a handle was closed, by the thread that closed it, when that is out of its calls and closes: it
     * tells of the close.
     */
    public static void follow(Handle handle, Runnable step) {
        of(handle).addFollower(step);
    }

    /** Closes what is above a handle and of no use without it, as {@link #follow(Handle, Runnable)} runs a step. */
    public static void follow(Handle handle, Handle above) {
        of(handle).addFollower(above);
    }

    private synchronized void addFollower(Object follower) {
        followers = Stream.concat(followers.stream(), Stream.of(follower)).toList();
    }

    /** All that is below a handle, each once, what was made first first. */
    public static List<Handle> below(Handle handle) {
        SequencedSet<Handle> found = new LinkedHashSet<>();
        Deque<Handle> left = new ArrayDeque<>(List.of(handle));
        while (!left.isEmpty()) {
            for (Handle child : children(left.pop())) {
                if (found.add(child)) {
                    left.add(child);
                }
            }
        }
        return List.copyOf(found);
    }

    /** Most have none. One that is being closed gets none any more, so that it can tell without the lock. */
    private List<Handle> all() {
        return oldest == null ? List.of() : copy();
    }

    private synchronized List<Handle> copy() {
        List<Handle> all = new ArrayList<>();
        for (Bond bond = oldest; bond != null; bond = bond.younger) {
            all.add(bond.child);
        }
        return all;
    }

    private boolean hasChildren() {
        return oldest != null;
    }

    /** Does the rest of an opening. When that fails the handle is closed, and what went wrong first is thrown. */
    public static <H extends Handle> H complete(H handle, Consumer<? super H> rest) {
        try {
            rest.accept(handle);
            return handle;
        } catch (Throwable failure) {
            throw undone(handle, failure);
        }
    }

    /**
     * A part that a handle has when it is complete. A handle that is being made is found by others through
     * {@link Handle#openHandles()}.
     *
     * @throws IllegalStateException when it is not there yet
     */
    public static <P> P part(@Nullable P part, Handle handle) {
        if (part == null) {
            throw new IllegalStateException(handle + " is being made, and has not all its parts yet");
        }
        return part;
    }

    private static Error undone(Handle handle, Throwable failure) {
        Failures failures = new Failures(failure);
        failures.attempt(handle::close);
        failures.throwFirst();
        throw new AssertionError();
    }

    // What a close waits for.

    /**
     * Looks at a handle, or makes a call on it that must not cross its close.
     *
     * @throws ClosedException when it is closed
     */
    public static <T extends @Nullable Object> T lease(Handle handle, Supplier<T> look) {
        @Nullable
        Object[] turn = Turn.current();
        Lifecycle life = of(handle);
        int[] counts = Turn.counts(turn);
        life.beginLease(handle);
        counts[Turn.LEASES]++;
        try {
            return look.get();
        } finally {
            counts[Turn.LEASES]--;
            synchronized (life) {
                life.leases--;
            }
            drain(turn);
        }
    }

    private synchronized void beginLease(Handle self) {
        requireOpen(self);
        leases++;
    }

    private static boolean isFree(Handle handle) {
        return of(handle).leases == 0;
    }

    /** A call begins into a kernel that may call back: until it ends, nothing that this thread does waits. */
    public static void enterCall() {
        @Nullable
        Object[] turn = Turn.current();
        Scratch.enter();
        // Last, and with less stack than what came before: after an Error this thread is in no call.
        Turn.enterCall(turn);
    }

    /**
     * The call has returned, and the thread does what it could not do within it. What it calls then has memory above the
     * arguments of the call that has returned, which hold its answer.
     */
    public static void leaveCall() {
        @Nullable
        Object[] turn = Turn.current();
        Turn.leaveCall(turn);
        try {
            drain(turn);
        } finally {
            Scratch.leave();
        }
    }

    /** What became of a call that a kernel of the program's own has ended with an exception. */
    public enum Made {
        /** Linux was not asked, or refused. */
        NOTHING,
        /** Linux has done it. */
        DONE,
        /** Nobody knows. */
        MAYBE
    }

    /** How many calls of this thread have ended so. */
    public static int thrownCalls() {
        return Turn.thrown(Turn.current());
    }

    /** A kernel of the program's own has ended a call with an exception. */
    public static void callThrew(Made made) {
        Turn.callThrew(Turn.current(), made);
    }

    /** That a close goes on later, although nothing was refused. */
    private static final class Later extends RuntimeException {
        private static final long serialVersionUID = 1;
        private static final Later INSTANCE = new Later();

        private Later() {
            super(null, null, false, false);
        }
    }

    /** The one step of a release, under a lock that others hold over their calls: who may not wait for them does it later. */
    public static void whileLocked(ReentrantLock lock, Runnable step) {
        if (!lock.tryLock()) {
            if (!Turn.mayWait(Turn.current())) {
                throw Later.INSTANCE;
            }
            lock.lock();
        }
        try {
            step.run();
        } finally {
            lock.unlock();
        }
    }

    /** A call on no file yet, into a kernel that may be a program's own: until it ends, nothing that this thread does waits. */
    public static long calling(LongSupplier call) {
        enterCall();
        try {
            return call.getAsLong();
        } finally {
            leaveCall();
        }
    }

    /** Runs a callback of the program: until it ends, nothing that this thread does waits. */
    public static void callBack(Runnable callback) {
        enterCall();
        try {
            callback.run();
        } finally {
            leaveCall();
        }
    }

    private static boolean until(Predicate<Handle> condition, Handle handle, @Nullable Object[] turn) {
        boolean interrupted = false;
        long nanos = SHORTEST_WAIT_NANOS;
        long waited = 0;
        try {
            while (!condition.test(handle)) {
                if (!Turn.mayWait(turn)) {
                    return false;
                }
                LockSupport.parkNanos(nanos);
                waited += nanos;
                if (waited > Exit.PATIENCE_NANOS) {
                    Exit.requireNobodyWithin(handle);
                    waited = 0;
                }
                nanos = Math.min(2 * nanos, LONGEST_WAIT_NANOS);
                interrupted |= Thread.interrupted();
            }
            return true;
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    // How it ends.

    /** False from the moment that a close begins. */
    public static boolean isOpen(Handle handle) {
        Lifecycle life = of(handle);
        return life.state == State.OPEN && !life.ending;
    }

    /** Whether all is given back. */
    public static boolean isClosed(Handle handle) {
        return of(handle).state == State.CLOSED;
    }

    /** Closes handles, each of which is tried, and answers whether all of them are closed now. */
    public static boolean closeAll(List<? extends Handle> handles) {
        @Nullable
        Object[] turn = Turn.current();
        Failures failures = new Failures();
        Turn.forgetRefusals(turn);
        handles.forEach(handle -> close(handle, turn, failures));
        finish(turn, failures);
        return handles.stream().allMatch(Lifecycle::isClosed);
    }

    /** Stops what must not go on while a handle is being given back; false when it goes on. */
    public static boolean quiesce(Handle handle) {
        return KernelAccess.get().quiesce(handle);
    }

    /** Stops what must not go on in any child; false when it goes on in one. */
    public static boolean quiesceChildren(Handle parent) {
        @Nullable
        Object[] turn = Turn.current();
        Failures failures = new Failures();
        boolean quiet = true;
        for (Handle child : children(parent)) {
            try {
                quiet &= quiesce(child);
            } catch (Throwable failure) {
                add(failure, turn, failures);
            }
        }
        throwFirst(turn, failures);
        return quiet;
    }

    /** Closes the children, the youngest first, then the handle. */
    public static void close(Handle handle) {
        @Nullable
        Object[] turn = Turn.current();
        Failures failures = new Failures();
        Turn.forgetRefusals(turn);
        close(handle, turn, failures);
        finish(turn, failures);
    }

    private static void finish(@Nullable Object[] turn, Failures failures) {
        drain(turn, failures);
        Turn.forgetRefusals(turn);
        throwFirst(turn, failures);
    }

    private static void throwFirst(@Nullable Object[] turn, Failures failures) {
        Turn.throwsKnown(turn, failures.known());
        failures.throwFirst();
    }

    private static void close(Handle handle, @Nullable Object[] turn, Failures failures) {
        Throwable refusal = Turn.refusal(turn, handle);
        if (refusal != null) {
            failures.addKnown(refusal);
            return;
        }
        Lifecycle life = of(handle);
        Handle outer = Turn.closing(turn);
        if (outer != null && of(outer).rank >= life.rank && life.state != State.CLOSED) {
            life.ending = true;
            Turn.putOff(turn, handle);
            return;
        }
        if (!life.begin(handle, turn)) {
            return;
        }
        boolean closed = false;
        int[] counts = Turn.counts(turn);
        counts[Turn.CLOSES]++;
        turn[Turn.CLOSING] = handle;
        try {
            closed = life.end(handle, turn, failures);
        } catch (Throwable failure) {
            failures.add(failure);
        } finally {
            // Calls nothing: the stack may be used up.
            life.closer = null;
            life.state = closed ? State.CLOSED : State.FAILED;
            turn[Turn.CLOSING] = outer;
            counts[Turn.CLOSES]--;
        }
    }

    /** Takes a close over, after one that goes on in another thread; false when there is nothing left to do here. */
    private boolean begin(Handle handle, @Nullable Object[] turn) {
        if (closer == Thread.currentThread() || !until(Lifecycle::beginIfNobodyElse, handle, turn)) {
            Turn.putOff(turn, handle);
            return false;
        }
        return closer == Thread.currentThread();
    }

    private static boolean beginIfNobodyElse(Handle handle) {
        return of(handle).beginIfNobodyElse();
    }

    private synchronized boolean beginIfNobodyElse() {
        if (state == State.CLOSING) {
            return false;
        }
        if (state != State.CLOSED) {
            closer = Thread.currentThread();
            state = State.CLOSING;
        }
        return true;
    }

    private boolean end(Handle handle, @Nullable Object[] turn, Failures failures) {
        Failures own = new Failures();
        boolean closed = false;
        try {
            closed = giveBack(handle, turn, own);
        } catch (Throwable failure) {
            own.add(failure);
        }
        if (!closed) {
            goOnLater(handle, turn, own.first());
        }
        failures.addAll(own);
        return closed;
    }

    /** A hook that closes things meets again what was refused before. */
    private static void add(Throwable failure, @Nullable Object[] turn, Failures failures) {
        if (Turn.isKnown(turn, failure)) {
            failures.addKnown(failure);
        } else {
            failures.add(failure);
        }
    }

    private static void goOnLater(Handle handle, @Nullable Object[] turn, @Nullable Throwable refused) {
        if (refused == null) {
            Turn.putOff(turn, handle);
        } else {
            Turn.refuse(turn, handle, refused);
        }
    }

    private boolean giveBack(Handle handle, @Nullable Object[] turn, Failures failures) {
        try {
            if (!until(Lifecycle::quiesce, handle, turn)) {
                return false;
            }
        } catch (Throwable failure) {
            // What goes on needs what is below.
            add(failure, turn, failures);
            return false;
        }
        if (hasChildren()) {
            closeChildren(turn, failures);
        }
        if (hasChildren() || !until(Lifecycle::isFree, handle, turn)) {
            return false;
        }
        if (exists) {
            if (!until(Lifecycle::settle, handle, turn) || !release(handle, turn, failures)) {
                return false;
            }
            for (Object follower : followers) {
                Turn.putOff(turn, follower);
            }
        }
        for (Bond bond = bonds; bond != null; bond = bond.next) {
            leave(bond, turn);
        }
        endWatch();
        return true;
    }

    /** The youngest first, but devices fall silent before what they signal and reach is taken from them. */
    private void closeChildren(@Nullable Object[] turn, Failures failures) {
        List<Handle> children = all().reversed();
        for (int first : DEVICES_FIRST) {
            for (Handle child : children) {
                if (of(child).rank == first) {
                    close(child, turn, failures);
                }
            }
        }
        children.forEach(child -> close(child, turn, failures));
    }

    private static boolean settle(Handle handle) {
        return KernelAccess.get().settle(handle);
    }

    private boolean release(Handle handle, @Nullable Object[] turn, Failures failures) {
        int thrown = Turn.thrown(turn);
        try {
            KernelAccess.get().release(handle);
            return true;
        } catch (Later later) {
            return false;
        } catch (Throwable failure) {
            boolean answered = thrown == Turn.thrown(turn);
            if (answered && isGone(failure)) {
                return true;
            }
            failures.add(failure);
            Made made = answered ? Made.MAYBE : Turn.lastThrown(turn);
            unsure |= made == Made.MAYBE && !(answered && failure instanceof KernelException);
            return made == Made.DONE;
        }
    }

    /** That is why it can be refused: its file was closed by other means and took it along, or it went before. */
    private boolean isGone(Throwable failure) {
        return failure instanceof ClosedException
                || failure instanceof KernelException refused && isGone(refused.errno());
    }

    private boolean isGone(Errno refused) {
        return refused == Errno.ENOENT || unsure && refused == Errno.EINVAL;
    }

    private static void drain(@Nullable Object[] turn, Failures failures) {
        Object next;
        while ((next = Turn.next(turn)) != null) {
            if (next instanceof Handle handle) {
                close(handle, turn, failures);
            } else {
                run((Runnable) next, turn, failures);
            }
        }
    }

    private static void run(Runnable step, @Nullable Object[] turn, Failures failures) {
        int[] counts = Turn.counts(turn);
        counts[Turn.STEPS]++;
        try {
            failures.attempt(step);
        } finally {
            counts[Turn.STEPS]--;
        }
    }

    /** What fails then has nothing to do with the call that ends here. */
    private static void drain(@Nullable Object[] turn) {
        if (Turn.hasNext(turn)) {
            Failures failures = new Failures();
            drain(turn, failures);
            Turn.forgetRefusals(turn);
            failures.reportFirst();
        }
    }
}
