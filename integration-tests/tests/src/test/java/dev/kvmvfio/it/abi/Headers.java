package dev.kvmvfio.it.abi;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** The kernel's headers of one version, as gcc reads them for one architecture. */
final class Headers {
    static final Path PROJECT = Path.of(System.getProperty("project.root"));

    private static final List<String> INCLUDED = List.of("kvm", "vfio", "iommufd", "errno", "eventfd", "eventpoll",
            "fcntl", "memfd", "mman", "poll", "resource", "stat", "uio", "un", "unistd");
    private static final String SOURCE = "expressions.c";
    private static final Pattern ERROR = Pattern.compile(SOURCE + ":(\\d+):\\d+: error: (.*)");
    /** A name or member that is not there, a struct of another architecture, something that C has no offset of. */
    private static final Pattern MEANINGLESS = Pattern
            .compile("undeclared|implicit declaration|has no member|incomplete type|undefined type|bit-field");
    private static final Pattern VALUE = Pattern.compile("->(\\d+) (-?\\d+) (-?\\d+)");

    /** Name and version of the package that they come from. */
    final String version;
    private final Path include;
    private final String target;
    private final String compiler;
    private final Path work;

    /** Debian's package of a suite, which is for all architectures; {@code work} is a folder for what gcc writes. */
    Headers(String suite, String architecture, Path work) throws IOException, InterruptedException {
        this.work = work;
        this.target = architecture + "-linux-gnu";
        this.compiler = compiler(target);
        String script = PROJECT.resolve("scripts/debian-package").toString();
        var folder = Path.of(run(script, suite, "linux-libc-dev").orFail().strip());
        this.version = folder.getFileName().toString();
        this.include = folder.resolve("usr/include");
    }

    /** The expressions for everything that the headers which the bindings cover declare. */
    Set<CExpression> declared() throws IOException, InterruptedException {
        write(Stream.of());
        var covered = Stream.of("linux/kvm.h", target + "/asm/kvm.h", "linux/vfio.h", "linux/iommufd.h");
        return Declarations.of(gcc("-E", "-dD").orFail(),
                covered.map(header -> include.resolve(header).toString()).collect(Collectors.toSet()));
    }

    /** The ioctls that a header such as {@code linux/kvm.h} defines. */
    Set<String> ioctls(String header) throws IOException, InterruptedException {
        write(Stream.of());
        return Declarations.ioctls(gcc("-E", "-dD").orFail(), include.resolve(header).toString());
    }

    /** The values of those expressions that mean something in these headers. */
    Map<CExpression, Long> evaluate(Collection<CExpression> expressions) throws IOException, InterruptedException {
        var asked = List.copyOf(expressions);
        var meaningless = new HashSet<Integer>();
        do { // Of some errors gcc reports only the first.
            write(IntStream.range(0, asked.size())
                    .mapToObj(i -> meaningless.contains(i) ? "" : query(i, asked.get(i))));
        } while (meaningless.addAll(meaningless(asked, gcc("-fsyntax-only").errors())));

        var values = new TreeMap<CExpression, Long>();
        VALUE.matcher(gcc("-S").orFail()).results().forEach(value -> values.put(
                asked.get(Integer.parseInt(value.group(1))),
                Long.parseLong(value.group(2)) << 32 | Integer.toUnsignedLong(Integer.parseInt(value.group(3)))));
        return values;
    }

    private static Set<Integer> meaningless(List<CExpression> asked, String errors) {
        return ERROR.matcher(errors).results().map(error -> {
            int number = Integer.parseInt(error.group(1)) - 1;
            if (!MEANINGLESS.matcher(error.group(2)).find()) {
                throw new AssertionError("cannot ask gcc for " + asked.get(number) + ": " + error.group(2));
            }
            return number;
        }).collect(Collectors.toSet());
    }

    /**
     * A function that leaves the value in gcc's assembly: for a foreign architecture there is nothing to run. A function
     * for each, because gcc reports an unknown name once per function; halves, because x86-64 has no 64-bit operands.
     */
    private String query(int number, CExpression expression) {
        // A constant without a sign such as $ is another operand on riscv64, which has no such sign.
        String constant = target.startsWith("riscv64") ? "%" : "%c";
        return "void f%1$d(void) { __asm__(\"->%1$d %3$s0 %3$s1\" :: \"i\" ((%2$s) >> 32), \"i\" ((int) (%2$s))); }"
                .formatted(number, "(long long) (" + expression + ")", constant);
    }

    private void write(Stream<String> lines) throws IOException {
        Files.write(work.resolve(SOURCE), (Iterable<String>) lines::iterator);
    }

    private Result gcc(String... options) throws IOException, InterruptedException {
        var command = new ArrayList<>(List.of(compiler, "-fmax-errors=0", "-ftrack-macro-expansion=0",
                "-Werror=implicit-function-declaration", "-nostdinc",
                "-I" + include.resolve(target), "-I" + include, "-o", "-"));
        INCLUDED.forEach(header -> command.addAll(List.of("-include", "linux/" + header + ".h")));
        command.addAll(Arrays.asList(options));
        command.add(SOURCE);
        return run(command.toArray(String[]::new));
    }

    /** Debian names a compiler by its version if the package that chooses the version is not installed. */
    private static String compiler(String target) {
        // Debian 12 has no gcc for loongarch64. That for aarch64 lays its headers out alike: both have pointers and longs
        // of 64 bits, and align each integer to its own size.
        String of = target.equals("loongarch64-linux-gnu") ? "aarch64-linux-gnu" : target;
        var names = Stream.of("-gcc", "-gcc-14", "-gcc-12").map(of::concat).toList();
        return Arrays.stream(System.getenv("PATH").split(":")).map(Path::of)
                .flatMap(folder -> names.stream().map(folder::resolve)).filter(Files::isExecutable).findFirst()
                .map(Path::toString).orElseThrow(() -> new AssertionError(
                        "none of " + names + " is on the PATH: apt-get install gcc-" + of.replace('_', '-')));
    }

    private Result run(String... command) throws IOException, InterruptedException {
        Path output = work.resolve("output");
        Path errors = work.resolve("errors");
        var builder = new ProcessBuilder(command).directory(work.toFile()).redirectOutput(output.toFile())
                .redirectError(errors.toFile());
        builder.environment().put("LC_ALL", "C");
        int status = builder.start().waitFor();
        return new Result(command[0], status, Files.readString(output), Files.readString(errors));
    }

    private record Result(String command, int status, String output, String errors) {
        String orFail() {
            if (status != 0) {
                throw new AssertionError(command + " ended with " + status + ":\n" + errors);
            }
            return output;
        }
    }
}
