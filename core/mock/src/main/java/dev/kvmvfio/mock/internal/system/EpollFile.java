package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.EEXIST;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.ENOENT;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/** An epoll: a file that waits for others. One that is closed leaves by itself, with its last number. */
final class EpollFile extends AnonymousFile {
    private static final int ALWAYS = system_h.EPOLLERR() | system_h.EPOLLHUP();
    private static final int MODELLED = system_h.EPOLLIN() | system_h.EPOLLOUT() | ALWAYS;

    /** In the order in which they are told next. */
    private final List<Interest> interests = new ArrayList<>();

    private record Interest(int fd, OpenFile file, int events, long data) {
        boolean isIn(int number, OpenFile other) {
            return fd == number && file == other;
        }

        int ready() {
            return file.poll() & (events | ALWAYS);
        }
    }

    EpollFile(int flags) {
        super("epoll");
        Refusal.when((flags & ~system_h.EPOLL_CLOEXEC()) != 0, EINVAL);
    }

    static EpollFile of(OpenFile file) {
        if (file instanceof EpollFile epoll) {
            return epoll;
        }
        throw Refusal.of(EINVAL);
    }

    void control(int operation, int fd, OpenFile file, int events, long data) {
        if (!(file instanceof EventFdFile)) {
            throw new NotModelledException("epoll of something else than eventfds, such as " + file + ",");
        }
        forgetClosed();
        boolean known = interests.stream().anyMatch(interest -> interest.isIn(fd, file));
        if (operation == system_h.EPOLL_CTL_ADD()) {
            Refusal.when(known, EEXIST);
        } else {
            Refusal.when(operation != system_h.EPOLL_CTL_DEL() && operation != system_h.EPOLL_CTL_MOD(), EINVAL);
            Refusal.when(!known, ENOENT);
            interests.removeIf(interest -> interest.isIn(fd, file));
        }
        if (operation != system_h.EPOLL_CTL_DEL()) {
            if ((events & ~MODELLED) != 0) {
                throw new NotModelledException(String.format(
                        "epoll with events other than EPOLLIN and EPOLLOUT, such as 0x%x,", events & ~MODELLED));
            }
            interests.add(new Interest(fd, file, events, data));
        }
    }

    private void forgetClosed() {
        interests.removeIf(interest -> interest.file.isReleased());
    }

    /** Tells the files that are ready, each of which comes last the next time. */
    int tell(Buffer buffer) {
        forgetClosed();
        List<Interest> ready = interests.stream().filter(interest -> interest.ready() != 0)
                .limit(buffer.size() / Kernel.EPOLL_EVENT_SIZE).toList();
        MemorySegment told = Argument.allocate((long) ready.size() * Kernel.EPOLL_EVENT_SIZE);
        for (int i = 0; i < ready.size(); i++) {
            told.set(ValueLayout.JAVA_INT, (long) i * Kernel.EPOLL_EVENT_SIZE, ready.get(i).ready());
            told.set(ValueLayout.JAVA_LONG, (long) i * Kernel.EPOLL_EVENT_SIZE + Long.BYTES, ready.get(i).data());
        }
        if (!ready.isEmpty()) {
            buffer.copyOut(told);
        }
        interests.removeAll(ready);
        interests.addAll(ready);
        return ready.size();
    }

    @Override
    int poll() {
        return interests.stream().anyMatch(interest -> interest.ready() != 0) ? system_h.POLLIN() : 0;
    }
}
