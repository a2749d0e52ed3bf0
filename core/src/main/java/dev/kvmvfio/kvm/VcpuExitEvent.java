package dev.kvmvfio.kvm;

import dev.kvmvfio.kvm.x86.X86Exit;
import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Enabled;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** A run of a vCPU, for JDK Flight Recorder. */
@Name("kvmvfio.VcpuExit")
@Label("vCPU Exit")
@Category("KVM and VFIO")
@Description("From the entry into the guest to the exit that the program is told of")
@Enabled(false)
@StackTrace(false)
final class VcpuExitEvent extends Event {
    @Label("vCPU")
    private int vcpu;

    @Label("Reason")
    private String reason = "";

    /** Runs the vCPU, and records the exit when that is switched on. */
    static VcpuExit run(Vcpu vcpu) {
        VcpuExitEvent event = new VcpuExitEvent();
        event.begin();
        VcpuExit exit = vcpu.enter();
        event.end();
        if (event.shouldCommit()) {
            event.vcpu = vcpu.id();
            Object told = exit instanceof VcpuExit.X86(X86Exit x86) ? x86 : exit;
            event.reason = told.getClass().getSimpleName();
            event.commit();
        }
        return exit;
    }
}
