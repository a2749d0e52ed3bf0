package dev.kvmvfio.it.api;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.sun.source.tree.ExpressionTree;
import com.sun.source.tree.LiteralTree;
import com.sun.source.tree.MethodInvocationTree;
import com.sun.source.util.JavacTask;
import com.sun.source.util.TreeScanner;
import dev.kvmvfio.kernel.Kernel;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** GraalVM's native-image must know the shape of every native call before it runs. */
@Tag("mock")
class ReachabilityMetadataTest {
    private static final Path SOURCE = Path.of(System.getProperty("project.root"),
            "core/src/main/java/dev/kvmvfio/kernel/LinuxKernel.java");
    private static final String METADATA = "/META-INF/native-image/dev.kvmvfio/kvm-vfio-core/reachability-metadata.json";
    private static final Map<String, String> TYPES = Map.of("JAVA_INT", "int", "JAVA_LONG", "long", "ADDRESS", "void*");

    /** What glibc 2.28 and musl 1.2 export, looked up there. */
    private static final Set<String> IN_BOTH_LIBCS = Set.of("__libc_current_sigrtmin", "abs", "accept4", "access",
            "bind",
            "close", "connect", "epoll_create1", "epoll_ctl", "epoll_wait", "eventfd", "fcntl", "ftruncate",
            "getpagesize",
            "getrlimit", "ioctl", "listen", "madvise", "memfd_create", "mmap", "munmap", "open", "poll", "pread",
            "pwrite",
            "read", "recvmsg", "sendmsg", "sigaction", "signal", "socket", "syscall", "write");

    private record Shape(String result, List<String> parameters, OptionalInt firstVariadic) {
    }

    @Test
    void everyCallThatIsLinkedIsDescribed() throws IOException {
        assertThat(described()).isEqualTo(linked()).isNotEmpty();
    }

    /** Without them, as without gettid(2) and tgkill(2) before glibc 2.30, a program would fail where it needs them first. */
    @Test
    void everyFunctionIsInBothLibcs() throws IOException {
        assertThat(Stream.concat(calls("link"), calls("find"))
                .map(call -> ((LiteralTree) call.getArguments().getFirst()).getValue().toString()))
                .contains("ioctl", "abs").isSubsetOf(IN_BOTH_LIBCS);
    }

    /** Read from the source: a linked handle does not tell which of its parameters are variadic. */
    private static Set<Shape> linked() throws IOException {
        return calls("link").map(call -> shape(call.getArguments())).collect(Collectors.toSet());
    }

    /** Calls of a method with the name of a function. */
    private static Stream<MethodInvocationTree> calls(String method) throws IOException {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        List<MethodInvocationTree> calls = new ArrayList<>();
        try (StandardJavaFileManager files = compiler.getStandardFileManager(null, null, null)) {
            JavacTask task = (JavacTask) compiler.getTask(null, files, null, null, null,
                    files.getJavaFileObjects(SOURCE));
            new TreeScanner<Void, Void>() {
                @Override
                public Void visitMethodInvocation(MethodInvocationTree call, Void nothing) {
                    if (call.getMethodSelect().toString().replaceAll(".*[.]", "").equals(method)
                            && call.getArguments().getFirst() instanceof LiteralTree) {
                        calls.add(call);
                    }
                    return super.visitMethodInvocation(call, nothing);
                }
            }.scan(task.parse(), null);
        }
        return calls.stream();
    }

    /** The arguments of {@code link}: the function, how many parameters are not variadic, the result, the parameters. */
    private static Shape shape(List<? extends ExpressionTree> arguments) {
        int fixed = (Integer) ((LiteralTree) arguments.get(1)).getValue();
        List<String> types = arguments.stream().skip(2).map(argument -> TYPES.get(argument.toString())).toList();
        List<String> parameters = types.subList(1, types.size());
        return new Shape(types.getFirst(), parameters,
                fixed < parameters.size() ? OptionalInt.of(fixed) : OptionalInt.empty());
    }

    private static Set<Shape> described() throws IOException {
        Set<Shape> shapes = new HashSet<>();
        try (InputStreamReader reader = new InputStreamReader(Kernel.class.getResourceAsStream(METADATA),
                StandardCharsets.UTF_8)) {
            for (JsonElement each : JsonParser.parseReader(reader).getAsJsonObject().getAsJsonObject("foreign")
                    .getAsJsonArray("downcalls")) {
                JsonObject call = each.getAsJsonObject();
                JsonObject options = call.getAsJsonObject("options");
                assertThat(options.get("captureCallState").getAsBoolean()).as("%s", call).isTrue();
                JsonElement variadic = options.get("firstVariadicArg");
                shapes.add(new Shape(call.get("returnType").getAsString(),
                        call.getAsJsonArray("parameterTypes").asList().stream().map(JsonElement::getAsString).toList(),
                        variadic == null ? OptionalInt.empty() : OptionalInt.of(variadic.getAsInt())));
            }
        }
        return shapes;
    }
}
