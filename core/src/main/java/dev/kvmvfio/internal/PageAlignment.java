package dev.kvmvfio.internal;

import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.Kernel;

/** The rule that KVM, VFIO and iommufd share: whole pages only. */
public final class PageAlignment {
    private PageAlignment() {
    }

    /**
     * The size of a page.
     *
     * @param kernel whose page size it is
     * @return bytes
     * @throws AnswerException when it is no power of two
     */
    public static int pageSize(Kernel kernel) {
        int size = kernel.pageSize();
        if (size <= 0 || Integer.bitCount(size) != 1) {
            throw new AnswerException("getpagesize", "this process", size + ", which is no power of two");
        }
        return size;
    }

    /**
     * Checks an address or an offset.
     *
     * @param kernel whose page size counts
     * @param name what the value is, for the message
     * @param value the address or offset in bytes
     * @throws IllegalArgumentException when it is not a multiple of the page size
     */
    public static void check(Kernel kernel, String name, long value) {
        check(pageSize(kernel), name, value);
    }

    private static void check(long pageSize, String name, long value) {
        if ((value & pageSize - 1) != 0) {
            throw new IllegalArgumentException(
                    String.format("%s 0x%x is not a multiple of the page size 0x%x", name, value, pageSize));
        }
    }

    /**
     * Checks a length.
     *
     * @param kernel whose page size counts
     * @param length in bytes
     * @throws IllegalArgumentException when it is not a positive multiple of the page size
     */
    public static void checkLength(Kernel kernel, long length) {
        checkLength(pageSize(kernel), length);
    }

    public static void checkLength(long pageSize, long length) {
        if (length <= 0) {
            throw new IllegalArgumentException("a length of " + length + " bytes maps nothing");
        }
        check(pageSize, "length", length);
    }
}
