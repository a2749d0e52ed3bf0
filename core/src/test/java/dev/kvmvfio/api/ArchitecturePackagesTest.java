package dev.kvmvfio.api;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is of one architecture stands on the ground that it shares with the others, and they do not lean on it. */
class ArchitecturePackagesTest {
    private static final Path KVM = PublicType.SOURCES.resolve("dev/kvmvfio/kvm");
    private static final Pattern PORTABLE = Pattern.compile("dev\\.kvmvfio\\.kvm\\.[A-Z]\\w*");
    private static final Pattern BINDING = Pattern
            .compile("dev\\.kvmvfio\\.bindings\\.kvm\\.(?:x86_64|aarch64)\\.\\w+");

    /** Neither in the code nor in its comments. */
    @ParameterizedTest
    @ValueSource(strings = {"x86", "aarch64"})
    void anArchitectureKnowsNothingOfThePortablePart(String architecture) throws IOException {
        assertThat(found(KVM.resolve(architecture), PORTABLE)).isEmpty();
    }

    /** {@code KvmRunTest} looks at which of its fields. */
    @Test
    void thePortablePartReadsOneStructThatTheyShare() throws IOException {
        assertThat(found(KVM, BINDING)).containsExactly("dev.kvmvfio.bindings.kvm.x86_64.kvm_run");
    }

    private static Set<String> found(Path folder, Pattern pattern) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> file.toString().endsWith(".java"))
                    .flatMap(file -> pattern.matcher(PublicType.read(file)).results()).map(found -> found.group())
                    .collect(Collectors.toSet());
        }
    }
}
