package dev.kvmvfio.it.abi;

import java.util.Locale;

/**
 * What is compared, as C has it: both sides name it the same.
 *
 * @param type the struct or union that it tells about, or empty
 */
record CExpression(Kind kind, String type, String text) implements Comparable<CExpression> {
    enum Kind {
        CONSTANT, SIZE, ALIGNMENT, MEMBER_OFFSET, MEMBER_SIZE;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT).replace('_', ' ') + "s";
        }
    }

    static CExpression constant(String name) {
        return new CExpression(Kind.CONSTANT, "", name);
    }

    /** Is 0 when the macro is that text. */
    static CExpression text(String macro, String literal) {
        return new CExpression(Kind.CONSTANT, "", "__builtin_strcmp(" + macro + ", " + literal + ")");
    }

    static CExpression size(String type) {
        return new CExpression(Kind.SIZE, type, "sizeof(" + type + ")");
    }

    static CExpression alignment(String type) {
        return new CExpression(Kind.ALIGNMENT, type, "_Alignof(" + type + ")");
    }

    static CExpression offset(String type, String member) {
        return new CExpression(Kind.MEMBER_OFFSET, type, "__builtin_offsetof(" + type + ", " + member + ")");
    }

    static CExpression memberSize(String type, String member) {
        return new CExpression(Kind.MEMBER_SIZE, type, "sizeof(((" + type + " *)0)->" + member + ")");
    }

    @Override
    public int compareTo(CExpression other) {
        return text.compareTo(other.text);
    }

    @Override
    public String toString() {
        return text;
    }
}
