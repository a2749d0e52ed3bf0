/**
 * What a program that uses the library is told, by the compiler, by the JDK and by observers of its calls: a misordered
 * program does not compile, and every example does.
 */
package dev.kvmvfio.it.api;
