package dev.kvmvfio.kernel;

import static java.lang.foreign.MemoryLayout.PathElement.groupElement;
import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.kvmvfio.bindings.system.iovec;
import dev.kvmvfio.bindings.system.sockaddr_un;
import dev.kvmvfio.bindings.system.system_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** What Unix sockets pass to the kernel, whose headers for programs have neither the constants nor the structs. */
final class UnixSocket {
    static final int AF_UNIX = 1;
    static final int STREAM_CLOEXEC = 1 | system_h.O_CLOEXEC();
    static final int BACKLOG = 128;
    static final int MSG_NOSIGNAL = 0x4000;
    static final int MSG_CMSG_CLOEXEC = 0x4000_0000;

    private static final int SOL_SOCKET = 1;
    private static final int SCM_RIGHTS = 1;

    /** Linux and glibc; musl has lengths of 32 bits, and padding where the other half is zero. */
    private static final MemoryLayout MSGHDR = MemoryLayout.structLayout(ADDRESS.withName("name"),
            JAVA_INT.withName("namelen"), MemoryLayout.paddingLayout(4), ADDRESS.withName("iov"),
            JAVA_LONG.withName("iovlen"), ADDRESS.withName("control"), JAVA_LONG.withName("controllen"),
            JAVA_INT.withName("flags"), MemoryLayout.paddingLayout(4));
    private static final long IOV = MSGHDR.byteOffset(groupElement("iov"));
    private static final long IOVLEN = MSGHDR.byteOffset(groupElement("iovlen"));
    private static final long CONTROL = MSGHDR.byteOffset(groupElement("control"));
    private static final long CONTROLLEN = MSGHDR.byteOffset(groupElement("controllen"));

    private static final MemoryLayout CMSGHDR = MemoryLayout.structLayout(JAVA_LONG.withName("len"),
            JAVA_INT.withName("level"), JAVA_INT.withName("type"));
    private static final long LEVEL = CMSGHDR.byteOffset(groupElement("level"));
    private static final long TYPE = CMSGHDR.byteOffset(groupElement("type"));

    private UnixSocket() {
    }

    /** A {@code struct sockaddr_un} as long as its path; longer than the kernel's when the path is too long. */
    static MemorySegment address(Arena arena, String path) {
        byte[] name = path.getBytes(StandardCharsets.UTF_8);
        MemorySegment address = arena.allocate(sockaddr_un.sun_path$offset() + name.length + 1, Short.BYTES);
        sockaddr_un.sun_family(address, (short) AF_UNIX);
        MemorySegment.copy(name, 0, address, JAVA_BYTE, sockaddr_un.sun_path$offset(), name.length);
        return address;
    }

    /** A {@code struct msghdr}, and the control message in it that is about files: the same for both ways. */
    record Message(MemorySegment header, MemorySegment control) {
        static Message of(Arena arena, MemorySegment bytes, int[] files) {
            MemorySegment vector = iovec.allocate(arena);
            iovec.iov_base(vector, bytes);
            iovec.iov_len(vector, bytes.byteSize());
            MemorySegment header = arena.allocate(MSGHDR);
            header.set(ADDRESS, IOV, vector);
            header.set(JAVA_LONG, IOVLEN, 1);
            if (files.length == 0) {
                return new Message(header, MemorySegment.NULL);
            }
            MemorySegment control = arena.allocate(CMSGHDR.byteSize() + (long) files.length * Integer.BYTES,
                    Long.BYTES);
            control.set(JAVA_LONG, 0, control.byteSize());
            control.set(JAVA_INT, LEVEL, SOL_SOCKET);
            control.set(JAVA_INT, TYPE, SCM_RIGHTS);
            MemorySegment.copy(files, 0, control, JAVA_INT, CMSGHDR.byteSize(), files.length);
            header.set(ADDRESS, CONTROL, control);
            header.set(JAVA_LONG, CONTROLLEN, control.byteSize());
            return new Message(header, control);
        }

        /** The files of a message that was received. */
        void takeFiles(int[] files) {
            Arrays.fill(files, -1);
            if (header.get(JAVA_LONG, CONTROLLEN) > 0) {
                long received = (control.get(JAVA_LONG, 0) - CMSGHDR.byteSize()) / Integer.BYTES;
                MemorySegment.copy(control, JAVA_INT, CMSGHDR.byteSize(), files, 0, (int) received);
            }
        }
    }
}
