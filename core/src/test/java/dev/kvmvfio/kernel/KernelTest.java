package dev.kvmvfio.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A kernel that was written before the seam grew: it has the methods without a default, and no other. */
class KernelTest {
    /** Their defaults use other methods. */
    private static final List<String> HELPERS = List.of("readFile", "ioctl");

    private static Stream<Method> methods() {
        return Arrays.stream(Kernel.class.getMethods()).filter(method -> !Modifier.isStatic(method.getModifiers()));
    }

    static Stream<Method> later() {
        return methods().filter(method -> method.isDefault() && !HELPERS.contains(method.getName()));
    }

    private static Object[] someArguments(Method method) {
        return Arrays.stream(method.getParameterTypes()).map(KernelTest::some).toArray();
    }

    private static Object some(Class<?> type) {
        return type == int.class
                ? (Object) 0
                : type == long.class
                        ? (Object) 0L
                        : type == int[].class
                                ? new int[0]
                                : type == String.class ? "/dev/null" : MemorySegment.NULL;
    }

    private static Kernel older() {
        InvocationHandler defaults = (self, method, arguments) -> {
            assertThat(method.isDefault()).as("%s", method).isTrue();
            return InvocationHandler.invokeDefault(self, method, arguments);
        };
        return (Kernel) Proxy.newProxyInstance(Kernel.class.getClassLoader(), new Class<?>[]{Kernel.class}, defaults);
    }

    @ParameterizedTest
    @MethodSource("later")
    void whatCameLaterIsNotThere(Method method) throws Exception {
        Number answer = (Number) method.invoke(older(), someArguments(method));
        assertThat(answer.longValue()).isEqualTo(-Errno.ENOSYS.number());
    }

    @ParameterizedTest
    @MethodSource("later")
    void anObserverPassesItThrough(Method method) throws Exception {
        List<SystemCall> calls = new ArrayList<>();
        Number answer = (Number) method.invoke(ObservedKernel.observe(older(), calls::add), someArguments(method));
        assertThat(answer.longValue()).isEqualTo(-Errno.ENOSYS.number());
        assertThat(calls).singleElement().asString().endsWith(" = -1 ENOSYS (Function not implemented)");
    }

    @ParameterizedTest
    @MethodSource("later")
    void linuxHasIt(Method method) throws Exception {
        assertThat(LinuxKernel.class.getMethod(method.getName(), method.getParameterTypes()).getDeclaringClass())
                .isEqualTo(LinuxKernel.class);
    }
}
