package dev.kvmvfio.it.abi;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.AddressLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SequenceLayout;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Every setter writes the bytes of its member and no others; the getter reads them. Some jextracts get this wrong. */
@Tag("abi")
class AccessorsTest {
    private int setters;

    @Test
    void reachTheirMember() {
        GeneratedClasses.all().stream().filter(GeneratedClasses::isStruct).forEach(this::struct);
        System.out.println(setters + " setters write the bytes of their member and no others");
        assertThat(setters).isPositive();
    }

    private void struct(Class<?> struct) {
        for (var member : GeneratedClasses.members(GeneratedClasses.layout(struct), 0)) {
            String name = member.name();
            assertThat(GeneratedClasses.get(struct, name + "$offset")).as("%s.%s", struct, name)
                    .isEqualTo(member.offset());
            assertThat(GeneratedClasses.get(struct, name + "$layout")).as("%s.%s", struct, name)
                    .isEqualTo(member.layout());
            for (Method accessor : GeneratedClasses.methods(struct, name)) {
                if (accessor.getReturnType() == void.class) {
                    set(struct, accessor, member);
                }
            }
        }
    }

    /** The parameters of a setter are the struct, the indices of an array's element, and the value. */
    private void set(Class<?> struct, Method setter, GeneratedClasses.Member member) {
        var memory = Arena.ofAuto().allocate(GeneratedClasses.layout(struct));
        var arguments = new ArrayList<Object>(List.of(memory));
        long offset = member.offset();
        var layout = member.layout();
        while (arguments.size() < setter.getParameterCount() - 1) {
            var array = (SequenceLayout) layout;
            if (array.elementCount() == 0) {
                return;
            }
            long last = array.elementCount() - 1;
            layout = array.elementLayout();
            offset += last * layout.byteSize();
            arguments.add(last);
        }
        var getter = GeneratedClasses.methods(struct, setter.getName()).stream()
                .filter(method -> method.getParameterCount() == arguments.size()
                        && method.getReturnType() != void.class)
                .findFirst().orElseThrow();
        var place = arguments.toArray();
        var value = allOnes(layout);
        arguments.add(value);

        GeneratedClasses.call(setter, arguments.toArray());

        var expected = new byte[(int) memory.byteSize()];
        Arrays.fill(expected, (int) offset, (int) (offset + layout.byteSize()), (byte) -1);
        assertThat(memory.toArray(ValueLayout.JAVA_BYTE)).as("%s", setter).isEqualTo(expected);
        var got = GeneratedClasses.call(getter, place);
        assertThat(contents(layout, got)).as("%s", getter).isEqualTo(contents(layout, value));
        setters++;
    }

    private static Object allOnes(MemoryLayout layout) {
        return switch (layout) {
            case ValueLayout.OfByte b -> (byte) -1;
            case ValueLayout.OfShort s -> (short) -1;
            case ValueLayout.OfInt i -> -1;
            case ValueLayout.OfLong l -> -1L;
            case AddressLayout a -> MemorySegment.ofAddress(-1);
            default -> Arena.ofAuto().allocate(layout).fill((byte) -1);
        };
    }

    private static Object contents(MemoryLayout layout, Object value) {
        return layout instanceof ValueLayout ? value : ((MemorySegment) value).asByteBuffer();
    }
}
