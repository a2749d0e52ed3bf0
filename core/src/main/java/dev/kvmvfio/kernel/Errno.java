package dev.kvmvfio.kernel;

import dev.kvmvfio.bindings.system.system_h;

/** The kernel's error numbers, which are the same on x86-64 and aarch64. */
public enum Errno {
    /** Operation not permitted. */
    EPERM(system_h.EPERM(), "Operation not permitted"),
    /** No such file or directory. */
    ENOENT(system_h.ENOENT(), "No such file or directory"),
    /** No such process. */
    ESRCH(system_h.ESRCH(), "No such process"),
    /** Interrupted system call. */
    EINTR(system_h.EINTR(), "Interrupted system call"),
    /** Input/output error. */
    EIO(system_h.EIO(), "Input/output error"),
    /** No such device or address. */
    ENXIO(system_h.ENXIO(), "No such device or address"),
    /** Argument list too long. */
    E2BIG(system_h.E2BIG(), "Argument list too long"),
    /** Exec format error. */
    ENOEXEC(system_h.ENOEXEC(), "Exec format error"),
    /** Bad file descriptor. */
    EBADF(system_h.EBADF(), "Bad file descriptor"),
    /** No child processes. */
    ECHILD(system_h.ECHILD(), "No child processes"),
    /** Resource temporarily unavailable. */
    EAGAIN(system_h.EAGAIN(), "Resource temporarily unavailable"),
    /** Cannot allocate memory. */
    ENOMEM(system_h.ENOMEM(), "Cannot allocate memory"),
    /** Permission denied. */
    EACCES(system_h.EACCES(), "Permission denied"),
    /** Bad address. */
    EFAULT(system_h.EFAULT(), "Bad address"),
    /** Block device required. */
    ENOTBLK(system_h.ENOTBLK(), "Block device required"),
    /** Device or resource busy. */
    EBUSY(system_h.EBUSY(), "Device or resource busy"),
    /** File exists. */
    EEXIST(system_h.EEXIST(), "File exists"),
    /** Invalid cross-device link. */
    EXDEV(system_h.EXDEV(), "Invalid cross-device link"),
    /** No such device. */
    ENODEV(system_h.ENODEV(), "No such device"),
    /** Not a directory. */
    ENOTDIR(system_h.ENOTDIR(), "Not a directory"),
    /** Is a directory. */
    EISDIR(system_h.EISDIR(), "Is a directory"),
    /** Invalid argument. */
    EINVAL(system_h.EINVAL(), "Invalid argument"),
    /** Too many open files in system. */
    ENFILE(system_h.ENFILE(), "Too many open files in system"),
    /** Too many open files. */
    EMFILE(system_h.EMFILE(), "Too many open files"),
    /** Inappropriate ioctl for device. */
    ENOTTY(system_h.ENOTTY(), "Inappropriate ioctl for device"),
    /** Text file busy. */
    ETXTBSY(system_h.ETXTBSY(), "Text file busy"),
    /** File too large. */
    EFBIG(system_h.EFBIG(), "File too large"),
    /** No space left on device. */
    ENOSPC(system_h.ENOSPC(), "No space left on device"),
    /** Illegal seek. */
    ESPIPE(system_h.ESPIPE(), "Illegal seek"),
    /** Read-only file system. */
    EROFS(system_h.EROFS(), "Read-only file system"),
    /** Too many links. */
    EMLINK(system_h.EMLINK(), "Too many links"),
    /** Broken pipe. */
    EPIPE(system_h.EPIPE(), "Broken pipe"),
    /** Numerical argument out of domain. */
    EDOM(system_h.EDOM(), "Numerical argument out of domain"),
    /** Numerical result out of range. */
    ERANGE(system_h.ERANGE(), "Numerical result out of range"),
    /** Resource deadlock avoided. */
    EDEADLK(system_h.EDEADLK(), "Resource deadlock avoided"),
    /** File name too long. */
    ENAMETOOLONG(system_h.ENAMETOOLONG(), "File name too long"),
    /** No locks available. */
    ENOLCK(system_h.ENOLCK(), "No locks available"),
    /** Function not implemented. */
    ENOSYS(system_h.ENOSYS(), "Function not implemented"),
    /** Directory not empty. */
    ENOTEMPTY(system_h.ENOTEMPTY(), "Directory not empty"),
    /** Too many levels of symbolic links. */
    ELOOP(system_h.ELOOP(), "Too many levels of symbolic links"),
    /** No message of desired type. */
    ENOMSG(system_h.ENOMSG(), "No message of desired type"),
    /** Identifier removed. */
    EIDRM(system_h.EIDRM(), "Identifier removed"),
    /** Channel number out of range. */
    ECHRNG(system_h.ECHRNG(), "Channel number out of range"),
    /** Level 2 not synchronized. */
    EL2NSYNC(system_h.EL2NSYNC(), "Level 2 not synchronized"),
    /** Level 3 halted. */
    EL3HLT(system_h.EL3HLT(), "Level 3 halted"),
    /** Level 3 reset. */
    EL3RST(system_h.EL3RST(), "Level 3 reset"),
    /** Link number out of range. */
    ELNRNG(system_h.ELNRNG(), "Link number out of range"),
    /** Protocol driver not attached. */
    EUNATCH(system_h.EUNATCH(), "Protocol driver not attached"),
    /** No CSI structure available. */
    ENOCSI(system_h.ENOCSI(), "No CSI structure available"),
    /** Level 2 halted. */
    EL2HLT(system_h.EL2HLT(), "Level 2 halted"),
    /** Invalid exchange. */
    EBADE(system_h.EBADE(), "Invalid exchange"),
    /** Invalid request descriptor. */
    EBADR(system_h.EBADR(), "Invalid request descriptor"),
    /** Exchange full. */
    EXFULL(system_h.EXFULL(), "Exchange full"),
    /** No anode. */
    ENOANO(system_h.ENOANO(), "No anode"),
    /** Invalid request code. */
    EBADRQC(system_h.EBADRQC(), "Invalid request code"),
    /** Invalid slot. */
    EBADSLT(system_h.EBADSLT(), "Invalid slot"),
    /** Bad font file format. */
    EBFONT(system_h.EBFONT(), "Bad font file format"),
    /** Device not a stream. */
    ENOSTR(system_h.ENOSTR(), "Device not a stream"),
    /** No data available. */
    ENODATA(system_h.ENODATA(), "No data available"),
    /** Timer expired. */
    ETIME(system_h.ETIME(), "Timer expired"),
    /** Out of streams resources. */
    ENOSR(system_h.ENOSR(), "Out of streams resources"),
    /** Machine is not on the network. */
    ENONET(system_h.ENONET(), "Machine is not on the network"),
    /** Package not installed. */
    ENOPKG(system_h.ENOPKG(), "Package not installed"),
    /** Object is remote. */
    EREMOTE(system_h.EREMOTE(), "Object is remote"),
    /** Link has been severed. */
    ENOLINK(system_h.ENOLINK(), "Link has been severed"),
    /** Advertise error. */
    EADV(system_h.EADV(), "Advertise error"),
    /** Srmount error. */
    ESRMNT(system_h.ESRMNT(), "Srmount error"),
    /** Communication error on send. */
    ECOMM(system_h.ECOMM(), "Communication error on send"),
    /** Protocol error. */
    EPROTO(system_h.EPROTO(), "Protocol error"),
    /** Multihop attempted. */
    EMULTIHOP(system_h.EMULTIHOP(), "Multihop attempted"),
    /** RFS specific error. */
    EDOTDOT(system_h.EDOTDOT(), "RFS specific error"),
    /** Bad message. */
    EBADMSG(system_h.EBADMSG(), "Bad message"),
    /** Value too large for defined data type. */
    EOVERFLOW(system_h.EOVERFLOW(), "Value too large for defined data type"),
    /** Name not unique on network. */
    ENOTUNIQ(system_h.ENOTUNIQ(), "Name not unique on network"),
    /** File descriptor in bad state. */
    EBADFD(system_h.EBADFD(), "File descriptor in bad state"),
    /** Remote address changed. */
    EREMCHG(system_h.EREMCHG(), "Remote address changed"),
    /** Can not access a needed shared library. */
    ELIBACC(system_h.ELIBACC(), "Can not access a needed shared library"),
    /** Accessing a corrupted shared library. */
    ELIBBAD(system_h.ELIBBAD(), "Accessing a corrupted shared library"),
    /** .lib section in a.out corrupted. */
    ELIBSCN(system_h.ELIBSCN(), ".lib section in a.out corrupted"),
    /** Attempting to link in too many shared libraries. */
    ELIBMAX(system_h.ELIBMAX(), "Attempting to link in too many shared libraries"),
    /** Cannot exec a shared library directly. */
    ELIBEXEC(system_h.ELIBEXEC(), "Cannot exec a shared library directly"),
    /** Invalid or incomplete multibyte or wide character. */
    EILSEQ(system_h.EILSEQ(), "Invalid or incomplete multibyte or wide character"),
    /** Interrupted system call should be restarted. */
    ERESTART(system_h.ERESTART(), "Interrupted system call should be restarted"),
    /** Streams pipe error. */
    ESTRPIPE(system_h.ESTRPIPE(), "Streams pipe error"),
    /** Too many users. */
    EUSERS(system_h.EUSERS(), "Too many users"),
    /** Socket operation on non-socket. */
    ENOTSOCK(system_h.ENOTSOCK(), "Socket operation on non-socket"),
    /** Destination address required. */
    EDESTADDRREQ(system_h.EDESTADDRREQ(), "Destination address required"),
    /** Message too long. */
    EMSGSIZE(system_h.EMSGSIZE(), "Message too long"),
    /** Protocol wrong type for socket. */
    EPROTOTYPE(system_h.EPROTOTYPE(), "Protocol wrong type for socket"),
    /** Protocol not available. */
    ENOPROTOOPT(system_h.ENOPROTOOPT(), "Protocol not available"),
    /** Protocol not supported. */
    EPROTONOSUPPORT(system_h.EPROTONOSUPPORT(), "Protocol not supported"),
    /** Socket type not supported. */
    ESOCKTNOSUPPORT(system_h.ESOCKTNOSUPPORT(), "Socket type not supported"),
    /** Operation not supported. */
    EOPNOTSUPP(system_h.EOPNOTSUPP(), "Operation not supported"),
    /** Protocol family not supported. */
    EPFNOSUPPORT(system_h.EPFNOSUPPORT(), "Protocol family not supported"),
    /** Address family not supported by protocol. */
    EAFNOSUPPORT(system_h.EAFNOSUPPORT(), "Address family not supported by protocol"),
    /** Address already in use. */
    EADDRINUSE(system_h.EADDRINUSE(), "Address already in use"),
    /** Cannot assign requested address. */
    EADDRNOTAVAIL(system_h.EADDRNOTAVAIL(), "Cannot assign requested address"),
    /** Network is down. */
    ENETDOWN(system_h.ENETDOWN(), "Network is down"),
    /** Network is unreachable. */
    ENETUNREACH(system_h.ENETUNREACH(), "Network is unreachable"),
    /** Network dropped connection on reset. */
    ENETRESET(system_h.ENETRESET(), "Network dropped connection on reset"),
    /** Software caused connection abort. */
    ECONNABORTED(system_h.ECONNABORTED(), "Software caused connection abort"),
    /** Connection reset by peer. */
    ECONNRESET(system_h.ECONNRESET(), "Connection reset by peer"),
    /** No buffer space available. */
    ENOBUFS(system_h.ENOBUFS(), "No buffer space available"),
    /** Transport endpoint is already connected. */
    EISCONN(system_h.EISCONN(), "Transport endpoint is already connected"),
    /** Transport endpoint is not connected. */
    ENOTCONN(system_h.ENOTCONN(), "Transport endpoint is not connected"),
    /** Cannot send after transport endpoint shutdown. */
    ESHUTDOWN(system_h.ESHUTDOWN(), "Cannot send after transport endpoint shutdown"),
    /** Too many references: cannot splice. */
    ETOOMANYREFS(system_h.ETOOMANYREFS(), "Too many references: cannot splice"),
    /** Connection timed out. */
    ETIMEDOUT(system_h.ETIMEDOUT(), "Connection timed out"),
    /** Connection refused. */
    ECONNREFUSED(system_h.ECONNREFUSED(), "Connection refused"),
    /** Host is down. */
    EHOSTDOWN(system_h.EHOSTDOWN(), "Host is down"),
    /** No route to host. */
    EHOSTUNREACH(system_h.EHOSTUNREACH(), "No route to host"),
    /** Operation already in progress. */
    EALREADY(system_h.EALREADY(), "Operation already in progress"),
    /** Operation now in progress. */
    EINPROGRESS(system_h.EINPROGRESS(), "Operation now in progress"),
    /** Stale file handle. */
    ESTALE(system_h.ESTALE(), "Stale file handle"),
    /** Structure needs cleaning. */
    EUCLEAN(system_h.EUCLEAN(), "Structure needs cleaning"),
    /** Not a XENIX named type file. */
    ENOTNAM(system_h.ENOTNAM(), "Not a XENIX named type file"),
    /** No XENIX semaphores available. */
    ENAVAIL(system_h.ENAVAIL(), "No XENIX semaphores available"),
    /** Is a named type file. */
    EISNAM(system_h.EISNAM(), "Is a named type file"),
    /** Remote I/O error. */
    EREMOTEIO(system_h.EREMOTEIO(), "Remote I/O error"),
    /** Disk quota exceeded. */
    EDQUOT(system_h.EDQUOT(), "Disk quota exceeded"),
    /** No medium found. */
    ENOMEDIUM(system_h.ENOMEDIUM(), "No medium found"),
    /** Wrong medium type. */
    EMEDIUMTYPE(system_h.EMEDIUMTYPE(), "Wrong medium type"),
    /** Operation canceled. */
    ECANCELED(system_h.ECANCELED(), "Operation canceled"),
    /** Required key not available. */
    ENOKEY(system_h.ENOKEY(), "Required key not available"),
    /** Key has expired. */
    EKEYEXPIRED(system_h.EKEYEXPIRED(), "Key has expired"),
    /** Key has been revoked. */
    EKEYREVOKED(system_h.EKEYREVOKED(), "Key has been revoked"),
    /** Key was rejected by service. */
    EKEYREJECTED(system_h.EKEYREJECTED(), "Key was rejected by service"),
    /** Owner died. */
    EOWNERDEAD(system_h.EOWNERDEAD(), "Owner died"),
    /** State not recoverable. */
    ENOTRECOVERABLE(system_h.ENOTRECOVERABLE(), "State not recoverable"),
    /** Operation not possible due to RF-kill. */
    ERFKILL(system_h.ERFKILL(), "Operation not possible due to RF-kill"),
    /** Memory page has hardware error. */
    EHWPOISON(system_h.EHWPOISON(), "Memory page has hardware error"),
    /** A number that has no public name; some drivers let the kernel's internal ones escape. */
    UNKNOWN(0, "Unknown error");

    private static final Errno[] BY_NUMBER = byNumber();

    private final int number;
    private final String text;

    Errno(int number, String text) {
        this.number = number;
        this.text = text;
    }

    private static Errno[] byNumber() {
        Errno[] table = new Errno[system_h.EHWPOISON() + 1];
        for (Errno errno : values()) {
            table[errno.number] = errno;
        }
        return table;
    }

    /**
     * Finds an error by its number.
     *
     * @param number a positive errno
     * @return the error, or {@link #UNKNOWN}
     */
    public static Errno of(int number) {
        Errno found = number > 0 && number < BY_NUMBER.length ? BY_NUMBER[number] : null;
        return found == null ? UNKNOWN : found;
    }

    /**
     * Whether the result of a call is this error.
     *
     * @param result what the call returned
     * @return true for {@code -number()}
     */
    public boolean is(long result) {
        return result == -number && this != UNKNOWN;
    }

    /**
     * The kernel's number.
     *
     * @return positive; 0 for {@link #UNKNOWN}
     */
    public int number() {
        return number;
    }

    /**
     * What the number means.
     *
     * @return a few words, without the name
     */
    public String text() {
        return text;
    }

    static String describe(int number) {
        Errno errno = of(number);
        return errno == UNKNOWN ? "errno " + number : errno.name() + " (" + errno.text + ")";
    }
}
