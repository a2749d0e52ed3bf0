package dev.kvmvfio.passthrough;

import dev.kvmvfio.internal.Surroundings;
import dev.kvmvfio.internal.SystemFiles;
import dev.kvmvfio.kernel.Kernel;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** What booted this machine, and the command that changes the kernel's command line for the next time. */
final class BootLoader {
    private static final String GRUB = "/etc/default/grub";
    private static final String GRUB_OPTIONS = "GRUB_CMDLINE_LINUX=\"";
    private static final String KERNEL_INSTALL = "/etc/kernel/cmdline";
    /** Where a boot loader on UEFI leaves its name, in UTF-16. */
    private static final String LOADER = "/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    private static final String AND_REBOOT = " && sudo reboot";

    private final Kernel kernel;
    private final List<String> added;
    private final List<String> removed;

    private BootLoader(Kernel kernel, List<String> added, List<String> removed) {
        this.kernel = kernel;
        this.added = added;
        this.removed = removed;
    }

    /** The command that adds options to the kernel's command line and takes others away, or a sentence where none can. */
    static String change(Kernel kernel, List<String> added, List<String> removed) {
        BootLoader loader = new BootLoader(kernel, added, removed);
        return loader.command().map(command -> command + AND_REBOOT).orElseGet(loader::sentence);
    }

    private boolean exists(String path) {
        return SystemFiles.exists(kernel, path);
    }

    private boolean hasProgram(String name) {
        return Stream.of("/usr/sbin/", "/usr/bin/", "/sbin/").anyMatch(folder -> exists(folder + name));
    }

    private String sentence() {
        String where = new Surroundings(kernel).isContainer()
                ? "on the host, in its boot loader"
                : "in the boot loader";
        String options = Stream.of(Map.entry("add ", added), Map.entry("take away ", removed))
                .filter(part -> !part.getValue().isEmpty())
                .map(part -> part.getKey() + String.join(" ", part.getValue())).collect(Collectors.joining(", "));
        return "On the kernel's command line " + options + " (" + where + "), and boot again";
    }

    private Optional<String> command() {
        if (new Surroundings(kernel).isContainer()) {
            return Optional.empty();
        }
        if (exists("/run/ostree-booted")) {
            return hasProgram("rpm-ostree")
                    ? Optional.of("sudo rpm-ostree kargs" + each(" --append-if-missing=", added)
                            + each(" --delete-if-present=", removed))
                    : Optional.empty();
        }
        if (hasProgram("grubby")) {
            return Optional.of("sudo grubby --update-kernel=ALL" + all(" --remove-args=", removed)
                    + all(" --args=", added));
        }
        return isSystemdBoot() ? bySystemdBoot() : byGrub();
    }

    private static String each(String option, List<String> values) {
        return values.stream().map(value -> option + value).collect(Collectors.joining());
    }

    private static String all(String option, List<String> values) {
        return values.isEmpty() ? "" : option + '"' + String.join(" ", values) + '"';
    }

    private boolean isSystemdBoot() {
        return SystemFiles.readable(kernel, LOADER).replace("\0", "").contains("systemd-boot");
    }

    private Optional<String> bySystemdBoot() {
        if (hasProgram("kernelstub")) {
            return Optional.of("sudo kernelstub" + all(" --add-options ", added) + all(" --delete-options ", removed));
        }
        String text = SystemFiles.readable(kernel, KERNEL_INSTALL);
        if (text.isEmpty()) {
            return Optional.empty();
        }
        Optional<String> apply = hasProgram("proxmox-boot-tool")
                ? Optional.of("sudo proxmox-boot-tool refresh")
                : installKernel();
        return apply.flatMap(command -> edit(List.of(KERNEL_INSTALL), "1s/$/ %s/").map(edit -> edit + command));
    }

    private Optional<String> installKernel() {
        String release = SystemFiles.readable(kernel, "/proc/sys/kernel/osrelease");
        return Stream.of("/lib/modules/" + release + "/vmlinuz", "/boot/vmlinuz-" + release).filter(this::exists)
                .findFirst().map(image -> "sudo kernel-install add " + release + " " + image);
    }

    private Optional<String> byGrub() {
        if (SystemFiles.readable(kernel, GRUB).lines().noneMatch(line -> line.startsWith(GRUB_OPTIONS))) {
            return Optional.empty();
        }
        List<String> files = Stream.concat(Stream.of(GRUB),
                SystemFiles.names(kernel, GRUB + ".d").stream().map(name -> GRUB + ".d/" + name)).toList();
        return makeGrubsMenu().flatMap(make -> edit(files, "s/^" + GRUB_OPTIONS + "/&%s /").map(edit -> edit + make));
    }

    private Optional<String> makeGrubsMenu() {
        if (hasProgram("update-grub")) {
            return Optional.of("sudo update-grub");
        }
        return Stream.of("grub2", "grub").filter(name -> hasProgram(name + "-mkconfig") && exists("/boot/" + name))
                .findFirst().map(name -> "sudo " + name + "-mkconfig -o /boot/" + name + "/grub.cfg");
    }

    /**
     * The commands that edit some files, each with what follows it: options are taken from where they are, and added to
     * the first file. Nothing when an option to be taken is in none of them.
     */
    private Optional<String> edit(List<String> files, String addition) {
        StringBuilder commands = new StringBuilder();
        Set<String> left = new HashSet<>(removed);
        for (String file : files) {
            String text = SystemFiles.readable(kernel, file);
            List<String> here = removed.stream().filter(option -> hasWord(text, option)).toList();
            left.removeAll(here);
            List<String> missing = file.equals(files.getFirst())
                    ? added.stream().filter(option -> !hasWord(text, option)).toList()
                    : List.of();
            List<String> edits = Stream.concat(here.stream().map(option -> "s/ *\\<" + option + "\\>//"),
                    missing.stream().map(option -> String.format(Locale.ROOT, addition, option))).toList();
            if (!edits.isEmpty()) {
                commands.append("sudo sed -i '").append(String.join("; ", edits)).append("' ").append(file)
                        .append(" && ");
            }
        }
        return left.isEmpty() ? Optional.of(commands.toString()) : Optional.empty();
    }

    private static boolean hasWord(String text, String word) {
        return Pattern.compile("(?<!\\w)" + Pattern.quote(word) + "(?!\\w)").matcher(text).find();
    }
}
