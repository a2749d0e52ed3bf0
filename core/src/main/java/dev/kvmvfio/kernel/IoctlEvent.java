package dev.kvmvfio.kernel;

import java.lang.foreign.MemorySegment;
import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Enabled;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** An ioctl, for JDK Flight Recorder. It costs nothing that can be measured until a recording switches it on. */
@Name("kvmvfio.Ioctl")
@Label("Ioctl")
@Category("KVM and VFIO")
@Description("An ioctl on a file of KVM, VFIO or iommufd")
@Enabled(false)
@StackTrace(false)
final class IoctlEvent extends Event {
    @Label("Name")
    @Description("The request, such as KVM_CREATE_VM")
    private String name = "";

    @Label("File")
    private String file = "";

    @Label("Result")
    @Description("What the kernel answered; -1 when it refused")
    private int result;

    @Label("errno")
    @Description("How the kernel refused, such as EBUSY; empty when it did not")
    private String errno = "";

    /** Makes the call, and records it when that is switched on. */
    static int call(Kernel kernel, FileDescriptor fd, FileKind kind, long request, MemorySegment argument) {
        IoctlEvent event = new IoctlEvent();
        event.begin();
        int result = kernel.ioctl(fd.number(), request, argument);
        event.end();
        if (event.shouldCommit()) {
            event.commit(SystemCall.nameOf(kind, request, argument), fd.toString(), result);
        }
        return result;
    }

    private void commit(String ioctl, String on, int answer) {
        name = ioctl;
        file = on;
        result = Math.max(answer, -1);
        errno = answer < 0 ? Errno.of(-answer).name() : "";
        commit();
    }
}
