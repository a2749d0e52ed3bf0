package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.ENOTTY;

import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.GroupLayout;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;

/** The ioctls that one kind of file answers, with their names and the structs they point to. */
public final class IoctlTable<F extends OpenFile> {
    /** For files that answer none. */
    static final IoctlTable<OpenFile> NONE = new IoctlTable<>(OpenFile.class, ENOTTY);

    private final Class<F> kind;
    private final Errno unknown;
    private final Map<Long, Entry<F>> entries = new HashMap<>();
    private final Map<String, Long> notModelled = new TreeMap<>();

    public IoctlTable(Class<F> kind, Errno unknown) {
        this.kind = kind;
        this.unknown = unknown;
    }

    /** What a file does when it is asked. */
    public interface Handler<F> {
        long handle(F file, Argument argument);
    }

    /** An ioctl; the layout is null when its argument is a plain number. */
    private record Entry<F>(String name, GroupLayout layout, Handler<F> handler) {
    }

    /** An ioctl whose argument is a number, or none. */
    public IoctlTable<F> on(String name, long request, Handler<F> handler) {
        return on(name, request, null, handler);
    }

    /** An ioctl whose argument is the address of a struct. */
    public IoctlTable<F> on(String name, long request, GroupLayout layout, Handler<F> handler) {
        entries.put(canonical(request), new Entry<>(name, layout, handler));
        return this;
    }

    public IoctlTable<F> notModelled(String name, long request) {
        notModelled.put(name, request);
        return on(name, request, (file, argument) -> {
            throw new NotModelledException(name);
        });
    }

    /** The ioctls that the model leaves out on purpose, by their names. */
    public Map<String, Long> notModelled() {
        return notModelled;
    }

    /** The kernel looks at 32 bits of the request only. */
    private static long canonical(long request) {
        return request & 0xffff_ffffL;
    }

    long call(OpenFile file, long request, Argument argument) {
        Entry<F> entry = entries.get(canonical(request));
        if (entry == null) {
            throw Refusal.of(unknown);
        }
        return entry.handler.handle(kind.cast(file), argument);
    }

    public boolean has(long request) {
        return entries.containsKey(canonical(request));
    }
}
