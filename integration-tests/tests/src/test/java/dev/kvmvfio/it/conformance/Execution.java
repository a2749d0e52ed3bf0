package dev.kvmvfio.it.conformance;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.NotModelledException;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/** Runs a sequence from a clean beginning to a clean end. The last result says that nothing was left. */
final class Execution {
    private static final String CLEAN = "clean";
    private static final Pattern HELD = Pattern.compile("/dev/(kvm|vfio|iommu)|anon_inode:.*(kvm|vfio|eventfd)");

    private Execution() {
    }

    static List<String> onLinux(Sequence sequence, int patienceMillis) {
        Kernel kernel = Kernel.linux();
        List<String> results = run(kernel, sequence, patienceMillis);
        if (sequence.steps().stream().anyMatch(step -> step.verb().equals("wait"))) {
            run(kernel, MockLab.emptyDevices(), patienceMillis);
        }
        List<String> after = held(kernel);
        results.add(after.isEmpty() ? CLEAN : "left " + after);
        return results;
    }

    /** Each sequence has a mock of its own. */
    static List<String> onMock(Sequence sequence, KernelProfile profile) {
        MockKernel kernel = MockLab.start(profile);
        try {
            List<String> results = run(kernel, sequence, 0);
            List<String> after = kernel.leaks();
            results.add(after.isEmpty() ? CLEAN : "left " + after);
            kernel.close();
            return results;
        } catch (NotModelledException missing) {
            return new ArrayList<>(List.of(missing.getMessage()));
        }
    }

    private static List<String> run(Kernel kernel, Sequence sequence, int patienceMillis) {
        try (Runner runner = new Runner(kernel, patienceMillis)) {
            return runner.run(sequence);
        }
    }

    /** What this process has open of KVM, VFIO and iommufd. */
    private static List<String> held(Kernel kernel) {
        List<String> numbers = new ArrayList<>();
        kernel.list("/proc/self/fd", numbers);
        return numbers.stream().map(number -> {
            StringBuilder link = new StringBuilder();
            kernel.readlink("/proc/self/fd/" + number, link);
            return link.toString();
        }).filter(link -> HELD.matcher(link).find()).sorted().toList();
    }
}
