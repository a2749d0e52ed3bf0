package dev.kvmvfio.passthrough;

import dev.kvmvfio.internal.Surroundings;
import dev.kvmvfio.internal.SystemFiles;
import dev.kvmvfio.kernel.Kernel;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** How the running kernel was built, which modules lie ready for it, and what brings one that is missing. */
final class KernelBuild {
    private final Kernel kernel;
    private final Surroundings surroundings;
    private final String release;
    /** Empty when the kernel does not tell. */
    private final String config;

    KernelBuild(Kernel kernel) {
        this.kernel = kernel;
        this.surroundings = new Surroundings(kernel);
        this.release = SystemFiles.readable(kernel, "/proc/sys/kernel/osrelease");
        this.config = Stream.of(SystemFiles.gzipped(kernel, "/proc/config.gz"),
                SystemFiles.readable(kernel, "/boot/config-" + release),
                SystemFiles.readable(kernel, modules() + "/config"))
                .filter(text -> !text.isEmpty()).findFirst().map(text -> "\n" + text).orElse("");
    }

    private String modules() {
        return "/lib/modules/" + release;
    }

    /** Which of some options the kernel was built without; none when it does not tell. */
    List<String> missing(String... options) {
        return config.isEmpty()
                ? List.of()
                : Stream.of(options).filter(
                        option -> !config.contains("\n" + option + "=y") && !config.contains("\n" + option + "=m"))
                        .toList();
    }

    /** The sentence for a kernel that lacks something for good. */
    static String another(List<String> options) {
        return "Boot a kernel with " + String.join(" and ", options) + ", such as the distribution's own";
    }

    /** What brings a module that is not loaded; each of the options must be set for that. */
    String load(String module, String... options) {
        List<String> missing = missing(options);
        if (!missing.isEmpty()) {
            return another(missing);
        }
        String modprobe = "sudo modprobe " + module;
        if (surroundings.isContainer()) {
            return "On the host: " + modprobe;
        }
        if (SystemFiles.exists(kernel, "/lib/modules") && !SystemFiles.exists(kernel, modules())) {
            return "Boot again: an update has replaced the modules of the running kernel";
        }
        return isAbsent(module) ? install().orElse(another(List.of(options))) : modprobe;
    }

    private boolean isAbsent(String module) {
        String ready = SystemFiles.readable(kernel, modules() + "/modules.dep");
        Pattern file = Pattern.compile("(?m)^\\S*/" + module.replaceAll("[-_]", "[-_]") + "\\.ko");
        return !ready.isEmpty() && Stream.of(ready, SystemFiles.readable(kernel, modules() + "/modules.builtin"))
                .noneMatch(list -> file.matcher(list).find());
    }

    /** Some distributions have their kernel's modules in more than one package. */
    private Optional<String> install() {
        String system = "\n" + SystemFiles.readable(kernel, "/etc/os-release").replace("\"", "");
        if (system.contains("\nID=ubuntu\n")) {
            return Optional.of("sudo apt install linux-modules-extra-" + release);
        }
        if (system.contains("\nID=debian\n") && release.contains("-cloud-")) {
            return Optional.of("sudo apt install linux-image-" + release.replaceAll(".*-cloud-", "")
                    + "  # the cloud kernel has not all modules; boot the other one");
        }
        return Pattern.compile("\nID(_LIKE)?=.*\\bfedora\\b").matcher(system).find()
                ? Optional.of("sudo dnf install kernel-modules-" + release)
                : Optional.empty();
    }
}
