package dev.kvmvfio.it.conformance;

import dev.kvmvfio.mock.model.KernelProfile;
import java.util.List;

/** A real kernel that the mock is compared with. */
enum Target {
    /** The lab's Linux 6.1, without character devices and iommufd. */
    V6_1("6.1", KernelProfile.V6_1, "kvm,chips,group,device,interrupts,memory,vcpu,processor",
            List.of(Family.KVM, Family.GROUP, Family.GROUP, Family.GROUP)),
    /** The lab's Linux 6.12. */
    V6_12("6.12", KernelProfile.V6_12, "kvm,chips,group,device,cdev,interrupts,memory,vcpu,processor", everything()),
    /** The lab's Linux 7.2. */
    V7_2("7.2", KernelProfile.V7_2, "kvm,chips,group,device,cdev,interrupts,memory,vcpu,processor", everything()),
    /** The kernel of the machine that the tests run on, which has KVM alone. */
    HOST("host", KernelProfile.V7_2, "kvm,chips,interrupts,memory,vcpu", List.of(Family.KVM));

    private final String label;
    private final KernelProfile profile;
    private final String scripts;
    private final List<Family> families;

    Target(String label, KernelProfile profile, String scripts, List<Family> families) {
        this.label = label;
        this.profile = profile;
        this.scripts = scripts;
        this.families = families;
    }

    /** The other kernels spend less time on KVM, which the host's kernel answers for too. */
    private static List<Family> everything() {
        return List.of(Family.KVM, Family.GROUP, Family.CDEV, Family.CDEV, Family.GROUP, Family.CDEV);
    }

    static Target of(String label) {
        for (Target target : values()) {
            if (target.label.equals(label)) {
                return target;
            }
        }
        throw new IllegalArgumentException("no kernel " + label);
    }

    String label() {
        return label;
    }

    KernelProfile profile() {
        return profile;
    }

    /** The names of the scripts that this kernel can run. */
    List<String> scripts() {
        return List.of(scripts.split(","));
    }

    /** The families that this kernel can run, those more often that matter more. */
    List<Family> families() {
        return families;
    }

    /** Whether devices have nodes of their own. */
    boolean hasCdev() {
        return scripts().contains("cdev");
    }

    @Override
    public String toString() {
        return label;
    }
}
