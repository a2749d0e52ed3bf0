package dev.kvmvfio.kvm;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemoryLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The package reads {@code struct kvm_run} by the layout of one architecture: what it reads is the same on the other. */
class KvmRunTest {
    private static final String X86_64 = "dev.kvmvfio.bindings.kvm.x86_64.";
    private static final String AARCH64 = "dev.kvmvfio.bindings.kvm.aarch64.";
    /** A field of it, or of one of the structs in it: {@code kvm_run.mmio.data$offset}. */
    private static final Pattern FIELD = Pattern.compile("\\b(kvm_run(?:\\.\\w+)*)\\.(?!sizeof)(\\w+)(?:\\$\\w+)?\\(");

    /** @param struct with the structs that it is in */
    private record Field(String struct, String name) implements Comparable<Field> {
        Object of(String bindings, String what) {
            try {
                return Class.forName(bindings + struct.replace('.', '$')).getMethod(name + what).invoke(null);
            } catch (ReflectiveOperationException failure) {
                throw new AssertionError(bindings + this, failure);
            }
        }

        @Override
        public int compareTo(Field other) {
            return toString().compareTo(other.toString());
        }

        @Override
        public String toString() {
            return struct + "." + name;
        }
    }

    @Test
    void isReadWhereBothArchitecturesAgree() throws IOException {
        assertThat(fields()).hasSizeGreaterThan(20).allSatisfy(field -> {
            assertThat(field.of(AARCH64, "$offset")).isEqualTo(field.of(X86_64, "$offset"));
            assertThat(((MemoryLayout) field.of(AARCH64, "$layout")).byteSize())
                    .isEqualTo(((MemoryLayout) field.of(X86_64, "$layout")).byteSize());
        });
    }

    @Test
    void isOfOneSize() {
        assertThat(dev.kvmvfio.bindings.kvm.aarch64.kvm_run.sizeof())
                .isEqualTo(dev.kvmvfio.bindings.kvm.x86_64.kvm_run.sizeof());
    }

    private static Set<Field> fields() throws IOException {
        Path sources = Path.of(System.getProperty("basedir", ""), "src/main/java/dev/kvmvfio/kvm");
        Set<Field> fields = new TreeSet<>();
        try (Stream<Path> files = Files.list(sources)) {
            files.filter(Files::isRegularFile).forEach(file -> FIELD.matcher(read(file)).results()
                    .forEach(found -> fields.add(new Field(found.group(1), found.group(2)))));
        }
        return fields;
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }
}
