package dev.kvmvfio.it.api;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/**
 * Compiles the examples that people read as they stand, those of the README and those of the Javadoc, and runs them on
 * the mock, which takes the place of the running Linux.
 */
@Tag("mock")
class ExamplesTest {
    private static final Path ROOT = Path.of(System.getProperty("project.root"));
    private static final Pattern MARKDOWN = Pattern.compile("^```java\\b.*\\n([\\s\\S]*?)^```", Pattern.MULTILINE);
    private static final Pattern JAVADOC = Pattern.compile("\\{@snippet[^:]*:|<pre>\\{@code");
    private static final Pattern COMMENT_MARGIN = Pattern.compile("^\\s*\\* ?", Pattern.MULTILINE);
    /** A block that begins like this is a file; every other one is statements. */
    private static final Pattern FILE = Pattern
            .compile("\\A\\s*((package|import)\\s|((public|final|abstract|sealed) )*(class|interface|record|enum) )");

    private static final Pattern CLASS = Pattern.compile("^class (\\w+) \\{", Pattern.MULTILINE);
    /** What an example with these words throws in the end, as its guest has no code but the mock's. */
    private static final Map<String, String> EXCEPTIONS = Map.of("the guest is gone", "the guest is gone",
            "machine.run()", ".*shutdown.*");
    private static final Pattern PACKAGE = Pattern.compile("^package (dev[\\w.]+);", Pattern.MULTILINE);
    private static final Pattern IMPORTS = Pattern.compile("\\s*(import [\\w.]+\\*;\\s*)+");

    private record Example(Path file, int line, String code) {
        /** On a package's page its types are at hand. */
        String ownPackage() {
            return PACKAGE.matcher(read(file)).results().findFirst().map(found -> "import " + found.group(1) + ".*;\n")
                    .orElse("");
        }

        @Override
        public String toString() {
            return ROOT.relativize(file) + ":" + line;
        }
    }

    @TestFactory
    Stream<DynamicTest> examplesRun() throws IOException {
        List<Example> examples = new ArrayList<>(inMarkdown(ROOT.resolve("README.md")));
        assertThat(examples).as("examples in the README").isNotEmpty();
        for (String documented : List.of("core", "core/mock", "integration-tests/vmm", "integration-tests/junit")) {
            List<Example> snippets = inSources(ROOT.resolve(documented, "src/main/java"));
            assertThat(snippets).as("examples in the Javadoc of %s", documented).isNotEmpty();
            examples.addAll(snippets);
        }
        return examples.stream().map(example -> DynamicTest.dynamicTest(example.toString(), () -> run(example)));
    }

    /** The first program is a file too, and stands at the beginning of the README's examples and of the library's page. */
    @Test
    void theFirstProgramIsTheSameEverywhere() throws IOException {
        String file = Files.readString(ROOT.resolve("scripts/examples/HelloVm.java"));
        assertThat(inMarkdown(ROOT.resolve("README.md")).stream().map(Example::code)
                .filter(code -> code.contains("class "))).first().isEqualTo(file);
        assertThat(inJavadoc(ROOT.resolve("core/src/main/java/module-info.java")).getFirst().code()
                .strip()).isEqualTo(file.strip());
    }

    @Test
    void theTestClassIsThatOfTheProgramThatUsesARelease() throws IOException {
        String file = Files.readString(ROOT.resolve("scripts/package.d/program/src/test/java/user/VmmTest.java"));
        assertThat(inMarkdown(ROOT.resolve("README.md")).stream().map(Example::code)
                .filter(code -> code.contains("@Test"))).containsExactly(file.replace("package user;\n\n", ""));
    }

    @Test
    void theLibrarysPageTellsTheSameImportsAsTheReadme() {
        assertThat(inJavadoc(ROOT.resolve("core/src/main/java/module-info.java")).get(1).code().strip())
                .isEqualTo(imports().strip());
    }

    private static List<Example> inMarkdown(Path file) {
        String text = read(file);
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

    /** What the README says that its examples import. */
    private static String imports() {
        return inMarkdown(ROOT.resolve("README.md")).stream().map(Example::code)
                .filter(IMPORTS.asMatchPredicate()).findFirst().orElseThrow();
    }

    /** Statements stand in a test of a program that has a VM and its own way to attach a device. */
    private static String inTest(Example example) {
        return "import static org.junit.jupiter.api.Assertions.*;\n" + imports() + example.ownPackage() + """
                public class Statements extends dev.kvmvfio.it.api.ExampleHost.Found {
                    @Override
                    public void run() throws Exception {
                        %s
                    }
                }
                """.formatted(example.code());
    }

    /** A class on a page of Javadoc has no imports. */
    private static String inFile(Example example) {
        return example.code().contains("import ")
                ? example.code()
                : imports() + example.ownPackage() + "import org.junit.jupiter.api.*;\n"
                        + "import org.junit.jupiter.api.extension.*;\n" + example.code();
    }

    private static void run(Example example) throws Exception {
        boolean isFile = FILE.matcher(example.code()).find();
        String code = isFile ? inFile(example) : example.code();
        Path classes = Files.createTempDirectory(Path.of(System.getProperty("java.io.tmpdir")), "example");
        assertThat(new JavaSource(isFile ? code : inTest(example)).complaintsOrClassesIn(classes)).as("%s", example)
                .isEmpty();
        try (ExampleRun run = new ExampleRun(classes)) {
            run.start(code.contains(".program(") ? "OWN_CODE" : code.contains("VcpuExit.Halt") ? "HALT" : "SHUTDOWN");
            if (code.contains("@Test")) {
                assertThat(run.tests(CLASS.matcher(code).results().findFirst().orElseThrow().group(1))).isEmpty();
            } else if (isFile) {
                run.main(CLASS.matcher(code).results().findFirst().map(type -> type.group(1)));
            } else {
                run.statements(!code.contains("Vm vm ="), !code.contains("Vcpu vcpu ="));
            }
            assertThat(run.thrown().map(Throwable::getMessage).orElse("")).as("%s", example)
                    .matches(EXCEPTIONS.entrySet().stream().filter(each -> code.contains(each.getKey()))
                            .map(Map.Entry::getValue).findFirst().orElse(""));
            if (code.contains("0x3f8 ->")) {
                assertThat(run.printed()).isEqualTo("Hello\n");
            }
        }
    }
}
