package dev.kvmvfio.it.conformance;

import dev.kvmvfio.it.conformance.Generator.Theme;
import dev.kvmvfio.mock.KernelProfile;
import java.util.List;

/** A real kernel that the mock is compared with. */
enum Target {
    /** The lab's Linux 6.1, without character devices and iommufd. */
    V6_1("6.1", KernelProfile.V6_1, "kvm,chips,group,device",
            List.of(Theme.KVM, Theme.GROUP, Theme.GROUP, Theme.GROUP)),
    /** The lab's Linux 6.12. */
    V6_12("6.12", KernelProfile.V6_12, "kvm,chips,group,device,cdev", everything()),
    /** The lab's Linux 7.2, which is configured without the interrupt chips of KVM. */
    V7_2("7.2", KernelProfile.V7_2, "kvm,group,device,cdev", everything()),
    /** The kernel of the machine that the tests run on, which has KVM alone. */
    HOST("host", KernelProfile.V7_2, "kvm,chips", List.of(Theme.KVM));

    private static final String CHIPS = "chips";

    private final String label;
    private final KernelProfile profile;
    private final String scripts;
    private final List<Theme> themes;

    Target(String label, KernelProfile profile, String scripts, List<Theme> themes) {
        this.label = label;
        this.profile = profile;
        this.scripts = scripts;
        this.themes = themes;
    }

    /** The other kernels spend less time on KVM, which the host's kernel answers for too. */
    private static List<Theme> everything() {
        return List.of(Theme.KVM, Theme.GROUP, Theme.GROUP, Theme.CDEV, Theme.CDEV, Theme.CDEV);
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

    Generator generator(long seed) {
        return new Generator(seed, themes, scripts().contains(CHIPS));
    }

    @Override
    public String toString() {
        return label;
    }
}
