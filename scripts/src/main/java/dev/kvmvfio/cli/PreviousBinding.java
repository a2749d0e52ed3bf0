package dev.kvmvfio.cli;

import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.pci.DriverBinding;
import dev.kvmvfio.pci.PciDevice;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** Remembers which binding a device had, from {@code bind} to {@code unbind}, until the host boots again. */
record PreviousBinding(HostFiles files) {
    static final PreviousBinding OF_THE_HOST = new PreviousBinding(new HostFiles(Path.of("/run/kvm-vfio")));

    private static String file(PciDevice device) {
        return device + ".binding";
    }

    void save(DriverBinding binding) {
        files.write(file(binding.device()), binding.driver().orElse("") + "\n" + binding.override().orElse("") + "\n");
    }

    Optional<DriverBinding> load(PciDevice device) {
        return files.read(file(device)).map(text -> text.lines().toList()).filter(lines -> lines.size() == 2)
                .map(lines -> binding(device, lines));
    }

    private static DriverBinding binding(PciDevice device, List<String> lines) {
        try {
            return new DriverBinding(device, driver(lines, 0), driver(lines, 1));
        } catch (IllegalArgumentException noName) {
            throw new HostException(file(device) + ": " + noName.getMessage(), "Remove the file");
        }
    }

    private static Optional<String> driver(List<String> lines, int line) {
        return Optional.of(lines.get(line)).filter(name -> !name.isEmpty());
    }

    void forget(PciDevice device) {
        files.delete(file(device));
    }
}
