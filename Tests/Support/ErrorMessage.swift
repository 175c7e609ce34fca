/// The sentence of the error that `body` throws, or nil.
public func errorMessage<Failure: Error & CustomStringConvertible>(_ body: () throws(Failure) -> Void) -> String? {
    do throws(Failure) {
        try body()
        return nil
    } catch {
        return error.description
    }
}
