package dev.kvmvfio.it.api;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.tools.Diagnostic;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;

/** Compiles the examples that people read: those of the README and those of the Javadoc. */
@Tag("mock")
class ExamplesTest {
    private static final Path ROOT = Path.of(System.getProperty("project.root"));
    private static final Pattern MARKDOWN = Pattern.compile("^```java\\b.*\\n([\\s\\S]*?)^```", Pattern.MULTILINE);
    private static final Pattern JAVADOC = Pattern.compile("\\{@snippet[^:]*:|<pre>\\{@code");
    private static final Pattern COMMENT_MARGIN = Pattern.compile("^\\s*\\* ?", Pattern.MULTILINE);
    /** A block that begins like this is a file; every other one is statements. */
    private static final Pattern FILE = Pattern
            .compile("\\A\\s*((package|import)\\s|((public|final|abstract|sealed) )*(class|interface|record|enum) )");

    private record Example(Path file, int line, String code) {
        @Override
        public String toString() {
            return ROOT.relativize(file) + ":" + line;
        }
    }

    @TestFactory
    Stream<DynamicTest> examplesCompile() throws IOException {
        List<Example> examples = new ArrayList<>(inMarkdown(ROOT.resolve("README.md")));
        assertThat(examples).as("examples in the README").isNotEmpty();
        for (String documented : List.of("core", "core/mock", "integration-tests/vmm")) {
            List<Example> snippets = inSources(ROOT.resolve(documented, "src/main/java"));
            assertThat(snippets).as("examples in the Javadoc of %s", documented).isNotEmpty();
            examples.addAll(snippets);
        }
        return examples.stream().map(example -> DynamicTest.dynamicTest(example.toString(), () -> compile(example)));
    }

    private static List<Example> inMarkdown(Path file) throws IOException {
        String text = Files.readString(file);
        return MARKDOWN.matcher(text).results()
                .map(block -> new Example(file, line(text, block.start(1)), block.group(1))).toList();
    }

    private static List<Example> inSources(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(file -> file.toString().endsWith(".java")).sorted()
                    .flatMap(file -> inJavadoc(file).stream()).toList();
        }
    }

    private static List<Example> inJavadoc(Path file) {
        String text = read(file);
        List<Example> examples = new ArrayList<>();
        Matcher start = JAVADOC.matcher(text);
        while (start.find()) {
            String code = text.substring(start.end(), closingBrace(text, start.end()));
            examples.add(new Example(file, line(text, start.end()), COMMENT_MARGIN.matcher(code).replaceAll("")));
        }
        return examples;
    }

    private static int closingBrace(String text, int position) {
        int open = 1;
        int end = position;
        while (open > 0) {
            char next = text.charAt(end++);
            open += next == '{' ? 1 : next == '}' ? -1 : 0;
        }
        return end - 1;
    }

    private static int line(String text, int position) {
        return (int) text.substring(0, position).lines().count() + 1;
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException failure) {
            throw new IllegalStateException(failure);
        }
    }

    /** Statements stand in a test of a program that has a VM and its own way to attach a device. */
    private static String inTest(String statements) {
        return "import static org.junit.jupiter.api.Assertions.*;\n" + JavaSource.imports() + """
                import dev.kvmvfio.bindings.kvm.x86_64.*;
                abstract class Example {
                    MockKernel kernel;
                    Kvm kvm;
                    Vm vm;
                    Vcpu vcpu;

                    abstract AutoCloseable attach(Kernel kernel, String address);

                    void run() throws Exception {
                        %s
                    }
                }
                """.formatted(statements);
    }

    private static void compile(Example example) {
        String code = example.code();
        assertThat(new JavaSource(FILE.matcher(code).find() ? code : inTest(code)).complaints())
                .filteredOn(complaint -> complaint.kind() == Diagnostic.Kind.ERROR).as("%s", example).isEmpty();
    }
}
