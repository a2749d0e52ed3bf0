package dev.kvmvfio.passthrough;

import dev.kvmvfio.internal.SystemFiles;
import dev.kvmvfio.kernel.Kernel;

/** Whether a device can be kept from raising interrupts that are not its own. */
enum InterruptRemapping {
    ON, OFF,
    /** Other processors than x86-64 do it elsewhere, and do not tell. */
    UNKNOWN;

    /**
     * Only the names of the interrupt controllers tell whether the kernel uses it. The file has a number for each pair of a
     * processor and an interrupt, and those of the IO-APIC come first.
     */
    static InterruptRemapping of(Kernel kernel) {
        String interrupts = SystemFiles.beginning(kernel, "/proc/interrupts");
        return interrupts.contains("IR-") ? ON : interrupts.contains("IO-APIC") ? OFF : UNKNOWN;
    }

    /** Whether the administrator has allowed devices without it. */
    static boolean isUnsafeAllowed(Kernel kernel, String module) {
        return SystemFiles.text(kernel, "/sys/module/" + module + "/parameters/allow_unsafe_interrupts")
                .filter("Y"::equals).isPresent();
    }
}
