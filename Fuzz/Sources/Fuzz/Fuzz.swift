// What libFuzzer, which brings the main function, calls. See `run` in the package's folder.

import Foundation
import FuzzEntries

// A variable of the environment, because libFuzzer starts this program again with the arguments that it knows.
private let name = ProcessInfo.processInfo.environment["FUZZ_ENTRY"] ?? ""
private let entry = FuzzEntry(rawValue: name)

/// Feeds the entry; libFuzzer names the function and its type.
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
