/// Sets the first `count` elements to 0.
func clear(_ values: inout [Float], _ count: Int) {
    precondition(values.count >= count, "an array of \(values.count) elements, \(count) needed")
    for index in 0..<count { values[index] = 0 }
}

/// Copies `count` elements from one array into another.
func copyRange(_ source: [Float], from start: Int, to target: inout [Float], at place: Int, count: Int) {
    precondition(start >= 0 && start + count <= source.count, "a range beyond the source")
    precondition(place >= 0 && place + count <= target.count, "a range beyond the target")
    for index in 0..<count { target[place + index] = source[start + index] }
}
