package dev.kvmvfio.it.odd;

import dev.kvmvfio.kernel.Kernel;
import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;

/** A kernel in front of another one, with answers of its own. */
final class OddKernel implements InvocationHandler {
    private final Kernel kernel;
    private final Oddity oddity;
    private final Map<Integer, String> paths = new ConcurrentHashMap<>();

    /** Answers a call in the real kernel's place. */
    interface Oddity {
        Object answer(Call call) throws Throwable;
    }

    /** A call that is being made. */
    final class Call {
        private final Object self;
        private final Method method;
        private final Object[] arguments;

        private Call(Object self, Method method, Object[] arguments) {
            this.self = self;
            this.method = method;
            this.arguments = arguments;
        }

        /** The method of {@link Kernel}. */
        String name() {
            return method.getName();
        }

        boolean is(String name) {
            return name().equals(name);
        }

        /** Whether it is this ioctl. */
        boolean is(long request) {
            return is("ioctl") && (int) request() == (int) request;
        }

        /** The number of an ioctl. */
        long request() {
            return this.<Long>argument(1) & 0xffff_ffffL;
        }

        /** Whether it is about this file, by its path or by its number. */
        boolean isOn(String path) {
            return path.equals(arguments[0] instanceof Integer fd ? paths.get(fd) : arguments[0]);
        }

        /** What is passed by reference. */
        @SuppressWarnings("unchecked")
        <T> T argument(int index) {
            return (T) arguments[index];
        }

        /** The struct of an ioctl; empty where a number is passed. */
        MemorySegment struct() {
            return arguments[2] instanceof MemorySegment struct ? struct : MemorySegment.NULL;
        }

        /** Makes it on another file, if it is on this one. */
        void renameFile(int from, int to) {
            if (arguments.length > 0 && arguments[0].equals(from)) {
                arguments[0] = to;
            }
        }

        private boolean answersLong() {
            return method.getReturnType() == long.class;
        }

        /** Makes it. */
        Object real() throws Throwable {
            return make(self, method, arguments);
        }

        /** An answer of the type that the call has. */
        Object answer(long number) {
            return answersLong() ? (Object) number : (Object) (int) number;
        }
    }

    private OddKernel(Kernel kernel, Oddity oddity) {
        this.kernel = kernel;
        this.oddity = oddity;
    }

    static Kernel of(Kernel kernel, Oddity oddity) {
        return (Kernel) Proxy.newProxyInstance(Kernel.class.getClassLoader(), new Class<?>[]{Kernel.class},
                new OddKernel(kernel, oddity));
    }

    /** A file of these bytes. */
    static Kernel withText(Kernel kernel, String path, String text) {
        return of(kernel, call -> {
            if (call.is("readFile") && call.isOn(path)) {
                call.<ByteArrayOutputStream>argument(1).writeBytes(text.getBytes(StandardCharsets.UTF_8));
                return 0;
            }
            return call.real();
        });
    }

    /** Changes what an ioctl has written to its struct. */
    static Kernel after(Kernel kernel, long request, Consumer<MemorySegment> change) {
        return of(kernel, call -> {
            Object result = call.real();
            if (call.is(request)) {
                change.accept(call.struct());
            }
            return result;
        });
    }

    /** Answers an ioctl with a number, which the call is not made for. */
    static Kernel answering(Kernel kernel, long request, int result) {
        return of(kernel, call -> call.is(request) ? (Object) result : call.real());
    }

    @Override
    public Object invoke(Object self, Method method, Object[] arguments) throws Throwable {
        if (method.getDeclaringClass() == Object.class) {
            return method.invoke(this, arguments);
        }
        Call call = new Call(self, method, arguments == null ? new Object[0] : arguments);
        Object answer = oddity.answer(call);
        if (call.is("open") && (int) answer >= 0) {
            paths.put((int) answer, (String) arguments[0]);
        }
        return answer;
    }

    /** A file is read by calls of its own, which may be answered oddly too. */
    private Object make(Object self, Method method, Object[] arguments) throws Throwable {
        try {
            return method.getName().equals("readFile")
                    ? InvocationHandler.invokeDefault(self, method, arguments)
                    : method.invoke(kernel, arguments);
        } catch (InvocationTargetException thrown) {
            throw thrown.getCause();
        }
    }
}
