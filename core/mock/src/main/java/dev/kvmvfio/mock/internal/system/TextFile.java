package dev.kvmvfio.mock.internal.system;

import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.EISDIR;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;

/** An open file of sysfs or procfs, whose content is made up when it is opened; or a folder, which has none. */
final class TextFile extends OpenFile {
    private final FileTree.Text text;
    private final byte[] content;
    private final Runnable written;
    private long position;

    /**
     * Opens a file.
     *
     * @param written is told when something was written
     */
    TextFile(String path, FileTree.Text text, Runnable written) {
        super(path);
        this.text = text;
        this.written = written;
        this.content = text == null ? null : text.content().get();
    }

    static TextFile folder(String path) {
        return new TextFile(path, null, null);
    }

    @Override
    protected long read(Buffer buffer) {
        long done = pread(buffer, position);
        position += done;
        return done;
    }

    @Override
    protected long pread(Buffer buffer, long offset) {
        Refusal.when(content == null, EISDIR);
        Refusal.when(offset < 0, EINVAL);
        long bytes = Math.clamp(content.length - offset, 0, buffer.size());
        buffer.copyOut(MemorySegment.ofArray(content).asSlice(Math.min(offset, content.length), bytes));
        return bytes;
    }

    @Override
    protected long write(Buffer buffer) {
        byte[] bytes = buffer.copyIn(buffer.size()).toArray(ValueLayout.JAVA_BYTE);
        text.store().accept(new String(bytes, StandardCharsets.US_ASCII).strip());
        written.run();
        return bytes.length;
    }
}
