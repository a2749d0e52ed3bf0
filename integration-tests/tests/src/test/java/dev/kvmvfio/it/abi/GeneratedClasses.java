package dev.kvmvfio.it.abi;

import dev.kvmvfio.bindings.kvm.kvm_h;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.PaddingLayout;
import java.lang.foreign.StructLayout;
import java.lang.module.ModuleFinder;
import java.lang.reflect.Method;
import java.net.URI;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The classes of the module dev.kvmvfio.bindings, and what can be asked of each: whatever is generated is found. */
final class GeneratedClasses {
    /** @param offset from where the outermost struct begins */
    record Member(String name, long offset, MemoryLayout layout) {
    }

    private GeneratedClasses() {
    }

    static List<Class<?>> all() {
        var home = Path.of(URI.create(kvm_h.class.getProtectionDomain().getCodeSource().getLocation().toString()));
        try (var module = ModuleFinder.of(home).find("dev.kvmvfio.bindings").orElseThrow().open();
                var files = module.list()) {
            return files.filter(file -> file.endsWith(".class") && !file.equals("module-info.class"))
                    .map(file -> file.substring(0, file.length() - ".class".length()).replace('/', '.'))
                    .<Class<?>>map(GeneratedClasses::load).toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static boolean isStruct(Class<?> type) {
        return !methods(type, "layout").isEmpty();
    }

    static GroupLayout layout(Class<?> struct) {
        return (GroupLayout) get(struct, "layout");
    }

    /** The members by the names that C has for them: those of an anonymous struct are its parent's. */
    static List<Member> members(GroupLayout layout, long start) {
        var members = new ArrayList<Member>();
        long offset = start;
        for (MemoryLayout member : layout.memberLayouts()) {
            if (!(member instanceof PaddingLayout)) {
                String name = member.name().orElseThrow();
                if (name.startsWith("$anon$")) {
                    members.addAll(members((GroupLayout) member, offset));
                } else {
                    members.add(new Member(name, offset, member));
                }
            }
            if (layout instanceof StructLayout) {
                offset += member.byteSize();
            }
        }
        return members;
    }

    static Object get(Class<?> type, String method) {
        return call(methods(type, method).getFirst());
    }

    /** The methods of that name, whatever their parameters. */
    static List<Method> methods(Class<?> type, String name) {
        return Arrays.stream(type.getDeclaredMethods()).filter(method -> method.getName().equals(name)).toList();
    }

    static Object call(Method method, Object... arguments) {
        try {
            return method.invoke(null, arguments);
        } catch (ReflectiveOperationException e) {
            throw new AssertionError(method.toString(), e);
        }
    }

    private static Class<?> load(String name) {
        try {
            return Class.forName(name);
        } catch (ClassNotFoundException e) {
            throw new AssertionError(e);
        }
    }
}
