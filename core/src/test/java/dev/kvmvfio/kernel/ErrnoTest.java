package dev.kvmvfio.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.EnumSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

class ErrnoTest {
    private static final int LARGEST = 4095;
    private static final MethodHandle NAME = link("strerrorname_np");
    private static final MethodHandle TEXT = link("strerror");

    @SuppressWarnings("restricted")
    private static MethodHandle link(String function) {
        Linker linker = Linker.nativeLinker();
        return linker.downcallHandle(linker.defaultLookup().find(function).orElseThrow(),
                FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
    }

    @SuppressWarnings("restricted")
    private static String ask(MethodHandle function, int number) throws Throwable {
        MemorySegment text = (MemorySegment) function.invokeExact(number);
        return text.address() == 0 ? null : text.reinterpret(Long.MAX_VALUE).getString(0);
    }

    @Test
    void namesAndTextsAreThoseOfTheLibc() throws Throwable {
        Set<Errno> seen = EnumSet.of(Errno.UNKNOWN);
        for (int number = 1; number <= LARGEST; number++) {
            Errno errno = Errno.of(number);
            String name = ask(NAME, number);
            if (name == null) {
                assertThat(errno).as("%d", number).isEqualTo(Errno.UNKNOWN);
            } else {
                assertThat(errno.name()).isEqualTo(name);
                assertThat(errno.text()).isEqualTo(ask(TEXT, number));
                assertThat(errno.number()).isEqualTo(number);
                seen.add(errno);
            }
        }
        assertThat(seen).containsExactlyInAnyOrder(Errno.values());
    }

    @Test
    void whatIsNoErrnoIsUnknown() {
        assertThat(Errno.of(0)).isEqualTo(Errno.UNKNOWN);
        assertThat(Errno.of(-1)).isEqualTo(Errno.UNKNOWN);
        assertThat(Errno.of(Integer.MAX_VALUE)).isEqualTo(Errno.UNKNOWN);
        assertThat(Errno.UNKNOWN.is(0)).isFalse();
        assertThat(Errno.EPERM.is(-1)).isTrue();
        assertThat(Errno.EPERM.is(1)).isFalse();
    }

    @Test
    void anExceptionNamesEvenAnErrnoWithoutName() {
        KernelException refused = new KernelException("KVM_RUN", "vCPU 0", "x=1", -524, "");
        assertThat(refused).hasMessage("KVM_RUN on vCPU 0 {x=1}: errno 524");
        assertThat(refused.errno()).isEqualTo(Errno.UNKNOWN);
    }
}
