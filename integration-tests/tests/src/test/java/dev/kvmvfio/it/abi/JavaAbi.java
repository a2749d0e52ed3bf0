package dev.kvmvfio.it.abi;

import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SequenceLayout;
import java.lang.foreign.UnionLayout;
import java.lang.reflect.Method;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** What the generated classes say: C expressions, each with the value that Java has for it. */
final class JavaAbi {
    private final Map<CExpression, Number> values = new TreeMap<>();

    private JavaAbi() {
    }

    static Map<CExpression, Number> of(Set<String> packages) {
        var abi = new JavaAbi();
        for (Class<?> type : GeneratedClasses.all()) {
            if (!packages.contains(type.getPackageName())) {
                continue;
            }
            if (type.getSimpleName().endsWith("_h")) {
                abi.constants(type);
            } else if (GeneratedClasses.isStruct(type) && type.getEnclosingClass() == null) {
                abi.struct(GeneratedClasses.layout(type));
            }
        }
        return abi.values;
    }

    private void constants(Class<?> header) {
        for (Method constant : header.getMethods()) {
            if (constant.getDeclaringClass() != Object.class) {
                String name = constant.getName();
                switch (GeneratedClasses.call(constant)) {
                    case Number number -> put(CExpression.constant(name), number);
                    case MemorySegment text -> put(CExpression.text(name, '"' + text.getString(0) + '"'), 0);
                    case Object other -> throw new AssertionError(name + " is " + other);
                }
            }
        }
    }

    private void struct(GroupLayout layout) {
        String type = (layout instanceof UnionLayout ? "union " : "struct ") + layout.name().orElseThrow();
        put(CExpression.size(type), layout.byteSize());
        put(CExpression.alignment(type), layout.byteAlignment());
        members(type, "", 0, layout);
    }

    private void members(String type, String path, long start, GroupLayout layout) {
        for (var member : GeneratedClasses.members(layout, start)) {
            String name = path + member.name();
            put(CExpression.offset(type, name), member.offset());
            MemoryLayout element = member.layout();
            while (element instanceof SequenceLayout array) {
                // C has no size for an array without a length.
                if (array.elementCount() > 0) {
                    put(CExpression.memberSize(type, name), array.byteSize());
                }
                element = array.elementLayout();
                name += "[0]";
            }
            put(CExpression.memberSize(type, name), element.byteSize());
            if (element instanceof GroupLayout nested) {
                members(type, name + ".", member.offset(), nested);
            }
        }
    }

    private void put(CExpression expression, Number value) {
        Number other = values.put(expression, value);
        if (other != null && !other.equals(value)) {
            throw new AssertionError(expression + " is " + other + " in one package and " + value + " in another");
        }
    }
}
