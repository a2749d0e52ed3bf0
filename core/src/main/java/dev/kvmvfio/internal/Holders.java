package dev.kvmvfio.internal;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Which processes have a file open, as far as this one may see it. */
public final class Holders {
    private Holders() {
    }

    /**
     * All of them.
     *
     * @param kernel where to look
     * @param paths of the files
     * @return such as {@code process 4242 (qemu) has it open}
     * @throws KernelException when {@code /proc} cannot be read
     */
    public static List<String> of(Kernel kernel, Collection<String> paths) {
        return describe(kernel, processes(kernel, paths));
    }

    /**
     * All but this process, which can share what it has open.
     *
     * @param kernel where to look
     * @param paths of the files
     * @return such as {@code process 4242 (qemu) has it open}
     * @throws KernelException when {@code /proc} cannot be read
     */
    public static List<String> others(Kernel kernel, Collection<String> paths) {
        String self = SystemFiles.linkName(kernel, "/proc/self").orElse("");
        return describe(kernel, processes(kernel, paths).filter(process -> !process.equals(self)));
    }

    /**
     * The end of a message.
     *
     * @param kernel where to look
     * @param path of the file
     * @return a colon and all of them; empty when none can be seen
     */
    public static String suffix(Kernel kernel, String path) {
        String all = Remedy.of(() -> of(kernel, List.of(path)).stream().collect(Collectors.joining(", ")));
        return all.isEmpty() ? "" : ": " + all;
    }

    private static Stream<String> processes(Kernel kernel, Collection<String> paths) {
        return paths.isEmpty()
                ? Stream.empty()
                : SystemFiles.names(kernel, "/proc").stream().filter(name -> name.matches("[0-9]+"))
                        .filter(process -> hasOpen(kernel, process, paths));
    }

    private static List<String> describe(Kernel kernel, Stream<String> processes) {
        return processes.map(process -> "process " + process + " ("
                + SystemFiles.text(kernel, "/proc/" + process + "/comm").orElse("?") + ") has it open").toList();
    }

    private static boolean hasOpen(Kernel kernel, String process, Collection<String> paths) {
        List<String> files = new ArrayList<>();
        String folder = "/proc/" + process + "/fd";
        return kernel.list(folder, files) == 0 && files.stream().anyMatch(file -> {
            StringBuilder target = new StringBuilder();
            return kernel.readlink(folder + "/" + file, target) == 0 && paths.contains(target.toString());
        });
    }
}
