package dev.kvmvfio.cli;

import dev.kvmvfio.pci.DriverBinding;
import dev.kvmvfio.pci.PciDevice;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** Remembers which binding a device had, from {@code bind} to {@code unbind}, until the host boots again. */
final class PreviousBinding {
    private static final Path FOLDER = Path.of("/run/kvm-vfio");

    private PreviousBinding() {
    }

    private static Path file(PciDevice device) {
        return FOLDER.resolve(device + ".binding");
    }

    static void save(DriverBinding binding) {
        try {
            Files.createDirectories(FOLDER);
            Files.write(file(binding.device()),
                    List.of(binding.driver().orElse(""), binding.override().orElse("")));
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    static Optional<DriverBinding> load(PciDevice device) {
        try {
            List<String> lines = Files.exists(file(device)) ? Files.readAllLines(file(device)) : List.of();
            return lines.size() == 2
                    ? Optional.of(new DriverBinding(device, present(lines.get(0)), present(lines.get(1))))
                    : Optional.empty();
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    private static Optional<String> present(String name) {
        return name.isEmpty() ? Optional.empty() : Optional.of(name);
    }

    static void forget(PciDevice device) {
        try {
            Files.deleteIfExists(file(device));
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }
}
