// The function that libFuzzer calls. The main function is in libFuzzer. See `run` in the package's folder.

import Foundation
import FuzzEntries

// An environment variable and not an argument, because libFuzzer restarts this program with its own arguments.
private let name = ProcessInfo.processInfo.environment["FUZZ_ENTRY"] ?? ""
private let entry = FuzzEntry(rawValue: name)

/// Passes bytes to the entry; libFuzzer defines the function's name and type.
@_cdecl("LLVMFuzzerTestOneInput")
public func take(_ start: UnsafePointer<UInt8>?, _ byteCount: Int) -> CInt {
    guard let entry else {
        let known = FuzzEntry.allCases.map(\.rawValue).joined(separator: ", ")
        FileHandle.standardError.write(Data("FUZZ_ENTRY is \"\(name)\"; expected one of \(known).\n".utf8))
        exit(2)
    }
    do {
        try entry.take(Array(UnsafeBufferPointer(start: start, count: byteCount)))
    } catch {
        fatalError("a promise is broken: \(error)")
    }
    return 0
}
