package dev.kvmvfio.junit;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.mock.MockHost;
import dev.kvmvfio.mock.MockKernel;
import java.util.function.Supplier;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ExtensionContext.Namespace;
import org.junit.jupiter.api.extension.ExtensionContext.Store;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;

/**
 * Gives each test a mock host of its own, as a parameter of type {@link MockKernel} or {@link Kernel}. A
 * {@code @BeforeEach} or {@code @AfterEach} method that asks for it gets that of its test. When all of them are through
 * the host is closed, and a test that left something open, bound, mapped or pinned fails: the message says what, and the
 * line that opened it.
 *
 * <p>{@code @ExtendWith(MockKernelExtension.class)} gives the host of {@link MockKernel#example()}; another one is
 * described in a field:
 *
 * <pre>{@code
 * class VmmTest {
 *     @RegisterExtension
 *     static final MockKernelExtension HOST = MockKernelExtension
 *             .of(() -> MockKernel.host(KernelProfile.V6_1).memlock(1 << 20));
 *
 *     @Test
 *     void opens(Kernel host) {
 *         Kvm.open(host).close();
 *     }
 * }
 * }</pre>
 *
 * <p><b>Thread-safety:</b> tests may run in parallel.
 */
public final class MockKernelExtension implements ParameterResolver, AfterEachCallback {
    private final Supplier<MockKernel> start;

    /** Gives the host of {@link MockKernel#example()}. */
    public MockKernelExtension() {
        this(MockKernel::example);
    }

    private MockKernelExtension(Supplier<MockKernel> start) {
        this.start = start;
    }

    /**
     * Gives a host of one's own.
     *
     * @param description asked for each test that has the host as a parameter; tests in parallel ask at once
     * @return to be registered in a field
     */
    public static MockKernelExtension of(Supplier<MockHost> description) {
        return new MockKernelExtension(() -> description.get().start());
    }

    /** A constructor and a {@code @BeforeAll} method are of no test. */
    @Override
    public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
        Class<?> type = parameter.getParameter().getType();
        return (type == MockKernel.class || type == Kernel.class) && context.getTestMethod().isPresent();
    }

    @Override
    public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
        Store store = store(context);
        MockKernel kernel = store.get(this, MockKernel.class);
        if (kernel == null) {
            kernel = start.get();
            store.put(this, kernel);
        }
        return kernel;
    }

    @Override
    public void afterEach(ExtensionContext context) {
        MockKernel kernel = store(context).remove(this, MockKernel.class);
        if (kernel != null) {
            kernel.close();
        }
    }

    private static Store store(ExtensionContext context) {
        return context.getStore(Namespace.create(MockKernelExtension.class));
    }
}
