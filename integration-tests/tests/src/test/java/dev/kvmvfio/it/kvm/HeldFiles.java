package dev.kvmvfio.it.kvm;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** What this process has open and mapped of KVM, VFIO and iommufd, its eventfds and the memory of its guests. */
public final class HeldFiles {
    private static final Pattern HELD = Pattern.compile(
            "/dev/(kvm|vfio|iommu).*|anon_inode:.*(kvm|vfio|iommu|eventfd).*|/memfd:guest.*");

    private HeldFiles() {
    }

    /** Their names, sorted. */
    public static List<String> now() {
        try (Stream<Path> files = Files.list(Path.of("/proc/self/fd"));
                Stream<String> maps = Files.lines(Path.of("/proc/self/maps"))) {
            return Stream.concat(files.map(HeldFiles::target), maps.map(map -> map.split(" +", 6)[5]))
                    .filter(name -> HELD.matcher(name).matches()).sorted().toList();
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    private static String target(Path link) {
        try {
            return Files.readSymbolicLink(link).toString();
        } catch (IOException closedMeanwhile) {
            return "";
        }
    }
}
